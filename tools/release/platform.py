"""What the platform's worker brings along beside the package: its own libraries and what they need, nothing more.

The developer's environment holds much else. An app that was run over it would find there what its package forgot, and
only the first start in Azure would tell.
"""

import hashlib
import os
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from tools.release import materials
from tools.release.package import ROOT

# The two that the worker of Python 3.13 and later chooses between, and what it speaks to the host with.
WORKER = "azure-functions-runtime\nazure-functions-runtime-v1\nprotobuf\n"


def worker() -> Path:
    """A directory to import this environment's WORKER and what that needs from, and nothing else; made once.

    Raises ToolError for a library that is not there in its pinned version, OSError.
    """
    pins = materials.pins(ROOT)
    key = hashlib.sha256(f"{sys.prefix}{sys.version}{sorted(pins.items())}{WORKER}".encode()).hexdigest()[:16]
    found = ROOT / "build" / "worker-libraries" / key
    if not found.is_dir():
        found.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="linking-", dir=found.parent) as made:
            for name in materials.closure(materials.requirements(WORKER), pins, distribution):
                _link(name, Path(made, "new"))
            try:
                os.replace(Path(made, "new"), found)
            except OSError:  # another run was first
                if not found.is_dir():
                    raise
    return found


def _link(name: str, into: Path) -> None:
    own = distribution(name)
    for file in own.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = into / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(own.locate_file(file))))
