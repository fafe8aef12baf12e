"""`make agent`: the agent as a wheel, and as one file that a bare NVA can run (`hopkeeper-agent.pyz`).

The file brings the agent, ExaBGP and PyJWT, which are pure Python. `aiohttp` and `cryptography` are not: there it takes
the system's, Debian's and Ubuntu's python3-aiohttp and python3-cryptography. What installs it lies in it under install/,
so that one SHA-256 stands for all. The same files give the same bytes.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.processes import ToolError
from tools.release import libraries
from tools.release.package import CACHE, DATE, MODE, ROOT, UNIX
from tools.release.run_pip import PINNED
from tools.release.wheels import wheel

SOURCE = ROOT / "nva_agent"
PINS = PINNED / "agent.txt"
BUNDLED = ("exabgp", "pyjwt")
FROM_SYSTEM = ("aiohttp", "cryptography")
FOLDER_MODE = 0o040755
PURE = "Tag: py3-none-any"
INTERPRETER = b"#!/usr/bin/env python3\n"
# Through the link by which it was called: a running agent and its ExaBGP keep to the version that they began with.
ENTRY = b"""import os
import sys

sys.path[0] = os.path.realpath(sys.path[0])

from hopkeeper_agent.main import main

sys.exit(main())
"""


def zipapp(out: Path, source: Path = SOURCE) -> Path:
    """Builds the one runnable file. Raises ToolError for a library that cannot be fetched, or that it could not hold."""
    entries = {"__main__.py": ENTRY}
    entries |= dict(_files(source / "hopkeeper_agent", "hopkeeper_agent/"))
    entries |= dict(_files(source / "packaging", "install/"))
    entries |= dict(_libraries(libraries.fetch(PINS, CACHE).folder))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # Folders too: ExaBGP has packages without __init__.py, which are found in a zip by their folder's entry alone.
        folders = {f"{folder.as_posix()}/" for name in entries for folder in Path(name).parents if folder.name}
        for name in sorted({*entries, *folders}):
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.external_attr = UNIX, (FOLDER_MODE if name in folders else MODE) << 16
            archive.writestr(entry, entries.get(name, b""), zipfile.ZIP_DEFLATED, 9)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(INTERPRETER + content.getvalue())
    out.chmod(0o755)
    return out


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield prefix + path.relative_to(folder).as_posix(), path.read_bytes()


def _libraries(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Their modules, and of their metadata the description and the licences."""
    for said in folder.glob("*.dist-info/WHEEL"):
        if PURE not in said.read_text():
            raise ToolError(f"{said.parent.name} is not pure Python: it cannot be in one file for every machine")
    for name, content in _files(folder, ""):
        parts = Path(name).parts
        is_metadata = parts[0].endswith(".dist-info")
        if not is_metadata or parts[-1] == "METADATA" or "licenses" in parts:
            yield name, content


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release.agent", description="Builds the agent's artefacts.")
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    given = parser.parse_args()
    try:
        for built in (zipapp(given.out / "hopkeeper-agent.pyz"), wheel(given.out, SOURCE)):
            sha256 = hashlib.sha256(built.read_bytes()).hexdigest()
            print(f"{built}: {built.stat().st_size:,} bytes, sha256 {sha256}")
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
