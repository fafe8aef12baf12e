"""`make package`: the zip that is deployed, and running a directory from it.

In it is what `.funcignore` leaves of the project, as in what Core Tools and azd upload: the three deploy the same files.
The same files give the same bytes: entries are sorted, and every date and mode is fixed. Libraries are not in it, the
platform's build installs them from requirements.txt (ADR 6).
"""

import argparse
import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pathspec

from lab.processes import LabError
from lab.release import materials

ROOT = Path(__file__).resolve().parents[2]
IGNORED = ".funcignore"
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
MODE = 0o100644
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
    """The paths below `root` that `.funcignore` (read as git reads its own) leaves, sorted."""
    ignored = pathspec.GitIgnoreSpec.from_lines((root / IGNORED).read_text().splitlines())
    found = []
    for folder, below, names in os.walk(root):
        here = Path(folder).relative_to(root)
        below[:] = [name for name in below if not ignored.match_file(f"{(here / name).as_posix()}/")]
        found += [path for name in names if not ignored.match_file(path := (here / name).as_posix())]
    return tuple(sorted(found))


def build(root: Path, out: Path) -> Package:
    """Writes the zip of the project at `root` to `out`. Raises OSError."""
    files = contents(root)
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w") as package:
        for name in files:
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.external_attr = UNIX, MODE << 16
            package.writestr(entry, (root / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return Package(out, files, hashlib.sha256(out.read_bytes()).hexdigest())


@contextmanager
def unpacked(package: Path) -> Iterator[Path]:
    """The app's directory: `package` itself, or for a zip a new one that holds nothing else and is gone at the end.

    Raises LabError for what is neither.
    """
    if package.is_dir():
        yield package.resolve()
        return
    if not zipfile.is_zipfile(package):
        raise LabError(f"{package} is neither a directory nor a zip: make package builds one")
    with tempfile.TemporaryDirectory(prefix="hopkeeper-app-") as folder:
        with zipfile.ZipFile(package) as content:
            content.extractall(folder)
        yield Path(folder).resolve()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.release.package", description="Builds the app's package.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "hopkeeper.zip")
    built = build(ROOT, parser.parse_args().out)
    print(f"{built.path}: {len(built.files)} files, {built.size:,} bytes, sha256 {built.sha256}")
    bill = built.path.with_suffix(".sbom.json")
    try:
        print(f"{bill}: {materials.write(ROOT, built.path, bill)} libraries")
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
