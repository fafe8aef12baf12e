"""What the platform's worker brings along beside the package: its own libraries and what they need, nothing more.

The developer's environment holds much else. An app that was run over it would find there what its package forgot, and
only the first start in Azure would tell.
"""

from importlib.metadata import distribution
from pathlib import Path

from lab.release import materials
from lab.release.package import ROOT

# The two that the worker of Python 3.13 and later chooses between, and what it speaks to the host with.
WORKER = ("azure-functions-runtime", "azure-functions-runtime-v1", "protobuf")


def link(into: Path) -> Path:
    """Makes `into` a directory to import this environment's WORKER from, as far as it is installed, and what that needs.

    Raises LabError for a library that is not there in its pinned version.
    """
    pins = materials.pins(ROOT)
    direct = materials.requirements("\n".join(name for name in WORKER if name in pins))
    for name in materials.closure(direct, pins, distribution):
        own = distribution(name)
        for file in own.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = into / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(Path(str(own.locate_file(file))))
    return into
