"""`make package`: the zip that is deployed, the directory with the same files, and running either.

In it is what `.funcignore` leaves of the project, and the app's libraries, all of it compiled: nothing is built after it
(ADR 10). The same files give the same bytes: entries are sorted, and every date and mode is fixed.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pathspec

from tools.processes import ToolError
from tools.release import libraries, materials
from tools.release.run_pip import PINNED

ROOT = Path(__file__).resolve().parents[2]
IGNORED = ".funcignore"
PINS = PINNED / "app.txt"
CACHE = ROOT / "build" / "libraries"
FOLDER = "build/package"  # below the root: what azd and Core Tools deploy from
ELSEWHERE = Path(libraries.FOLDER).parts[0]  # a package has its libraries from one place, whatever lies about
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
MODE = 0o100644
# Every new instance fetches the package before it answers. Today's is 20 MB, most of it azure-mgmt-network; what would add
# half of that again shall be a decision.
SIZE_LIMIT = 30_000_000  # bytes
UNIX = 3  # "version made by": else the same zip differs by the system that made it


@dataclass(frozen=True, slots=True)
class Package:
    """A zip that was built; `files` are the paths in it, sorted."""

    path: Path
    files: tuple[str, ...]
    sha256: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def contents(root: Path) -> tuple[str, ...]:
    """The paths below `root` that are the app's own: what `.funcignore` (read as git reads its own) leaves, sorted."""
    ignored = pathspec.GitIgnoreSpec.from_lines((root / IGNORED).read_text().splitlines())
    found = []
    for folder, below, names in os.walk(root):
        here = Path(folder).relative_to(root)
        below[:] = [name for name in below if name != ELSEWHERE]
        below[:] = [name for name in below if not ignored.match_file(f"{(here / name).as_posix()}/")]
        found += [path for name in names if not ignored.match_file(path := (here / name).as_posix())]
    return tuple(sorted(found))


def build(root: Path, out: Path, brought: Path | None = None) -> Package:
    """Writes the zip of the project at `root` to `out`, with the libraries in the directory `brought`.

    Without them it is the app's own part alone, which only runs where they are installed. Its modules come compiled, as the
    libraries do. Raises OSError, and ToolError when it is larger than SIZE_LIMIT.
    """
    with tempfile.TemporaryDirectory(prefix="hopkeeper-package-") as scratch:
        for name in contents(root):
            copy = Path(scratch, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy)
        libraries.compile_all(Path(scratch))
        files = _below(Path(scratch)) | (_below(brought, f"{libraries.FOLDER}/") if brought else {})
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(out, "w") as package:
            for name, path in sorted(files.items()):
                entry = zipfile.ZipInfo(name, DATE)
                entry.create_system, entry.external_attr = UNIX, MODE << 16
                package.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    built = Package(out, tuple(sorted(files)), hashlib.sha256(out.read_bytes()).hexdigest())
    if built.size > SIZE_LIMIT:
        raise ToolError(
            f"{out} has {built.size:,} bytes, the limit is {SIZE_LIMIT:,}: see what came in, or raise SIZE_LIMIT"
        )
    return built


def _below(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Every file below it, by its path in the package."""
    return {prefix + path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def lay_out(package: Path, folder: Path) -> Path:
    """Makes `folder` what azd and Core Tools deploy the package from: they take a directory, and zip it themselves."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(package) as content:
        content.extractall(folder)
    # Where no such file is, azd leaves byte code out of a Python app (createDeployableZip). The file itself is not deployed.
    (folder / IGNORED).write_text("# Everything here is deployed.\n")
    return folder


@contextmanager
def unpacked(package: Path) -> Iterator[Path]:
    """The app's directory: `package` itself, or for a zip a new one that holds nothing else and is gone at the end.

    Raises ToolError for what is neither.
    """
    if package.is_dir():
        yield package.resolve()
        return
    if not zipfile.is_zipfile(package):
        raise ToolError(f"{package} is neither a directory nor a zip: make package builds one")
    with tempfile.TemporaryDirectory(prefix="hopkeeper-app-") as folder:
        with zipfile.ZipFile(package) as content:
            content.extractall(folder)
        yield Path(folder).resolve()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release.package", description="Builds the app's package.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "hopkeeper.zip")
    parser.add_argument("--libraries", type=Path, default=CACHE, help="where wheels are kept")
    given = parser.parse_args()
    try:
        fetched = libraries.fetch(PINS, given.libraries)
        built = build(ROOT, given.out, fetched.folder)
        print(f"{built.path}: {len(built.files)} files, {built.size:,} bytes, sha256 {built.sha256}")
        bill = built.path.with_suffix(".sbom.json")
        print(
            f"{bill}: {materials.write(ROOT, built.path, bill, fetched)} libraries; beside it the list of their licences"
        )
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    folder = lay_out(built.path, built.path.parent / Path(FOLDER).name)
    print(f"{folder}: the same files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
