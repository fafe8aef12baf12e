"""`make pins`: every library of what is handed out, with the SHA-256 of its wheel, as the package index has it now.

Versions are those of requirements.txt and constraints.txt. pip compares the digests whenever it fetches (its hash-checking
mode), so that a wheel of another content is refused; what changed here is to be read before it is committed.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.processes import ToolError
from tools.release.agent import BUNDLED
from tools.release.libraries import QUIET, WHEELS
from tools.release.package import ROOT

FOLDER = Path(__file__).with_name("pins")
HEAD = "# {} With the SHA-256 of each wheel; written by: make pins\n"
WANTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "app.txt": ("What the app's package brings.", ("--requirement", "requirements.txt")),
    "agent.txt": ("What hopkeeper-agent.pyz brings.", ("--constraint", "constraints.txt", "--no-deps", *BUNDLED)),
    "build.txt": ("What builds wheels.", ("setuptools==84.2.1",)),
}
"""Each file: what it is, and how pip is given what it wants."""


def resolved(wanted: tuple[str, ...]) -> str:
    """A line for each library, sorted. Raises ToolError with pip's own words."""
    with tempfile.TemporaryDirectory(prefix="hopkeeper-pins-") as folder:
        report = Path(folder, "report.json")
        dry = ["--dry-run", "--ignore-installed", "--target", folder, "--report", str(report)]
        command = [sys.executable, "-m", "pip", "install", *QUIET, *WHEELS, *dry, *wanted]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ToolError(f"the package index did not give every library:\n{done.stderr.strip()}")
        found = json.loads(report.read_text())["install"]
    lines = [
        f"{canonicalize_name(one['metadata']['name'])}=={one['metadata']['version']}"
        f" --hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}\n"
        for one in found
    ]
    return "".join(sorted(lines))


def main() -> int:
    try:
        texts = {name: HEAD.format(says) + resolved(wanted) for name, (says, wanted) in WANTED.items()}
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
        print(f"{FOLDER / name}: {text.count('--hash=')} libraries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
