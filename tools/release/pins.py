"""`make pins`: every library of what is handed out, with the SHA-256 of its wheel, as the package index has it now.

Versions are those of requirements.txt and constraints.txt. pip compares the digests whenever it fetches (its hash-checking
mode), so that a wheel of another content is refused; what changed here is to be read before it is committed.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.processes import ToolError
from tools.release.agent import BUNDLED
from tools.release.libraries import WHEELS, reported
from tools.release.package import ROOT
from tools.release.run_pip import PINNED, run_pip

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
        run_pip("the package index did not give every library", "install", *WHEELS, *dry, *wanted, cwd=ROOT)
        found = reported(report)
    lines = [f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest) in found.items()]
    return "".join(sorted(lines))


def main() -> int:
    try:
        texts = {name: HEAD.format(says) + resolved(wanted) for name, (says, wanted) in WANTED.items()}
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, text in texts.items():
        (PINNED / name).write_text(text)
        print(f"{PINNED / name}: {text.count('--hash=')} libraries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
