"""Starts a Python module in namespaces of its own: network, mounts, processes, and users where we are not root.

Nothing of it can be left over: when the first process in there ends, or the one that started it, the kernel ends the
others and takes the network namespaces away, after a crash and kill -9 as well.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAMS = {
    "bird": "bird2",
    "ip": "iproute2",
    "keepalived": "keepalived",
    "mount": "mount",
    "nft": "nftables",
    "ping": "iputils-ping",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""What the lab runs, and the Debian package that has it. FRR is required by the contenders that speak with it."""

_CAP_SYS_ADMIN = 21
_UNSHARE = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def search_path() -> str:
    """PATH with the directories that an ordinary user's lacks."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing(programs: Mapping[str, str] = PROGRAMS) -> tuple[str, ...]:
    """What has to be installed or allowed first, in words; empty when the lab can run. Installs nothing."""
    packages = sorted({p for program, p in programs.items() if shutil.which(program, path=search_path()) is None})
    if packages:
        return tuple(f"Debian package {package}" for package in packages)
    tried = subprocess.run(_wrapped(["true"]), capture_output=True, text=True, timeout=20, check=False)
    if tried.returncode != 0:
        return (f"network namespaces (as root, or user namespaces that the kernel allows): {tried.stderr.strip()}",)
    return ()


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command line that runs `python -m module` in namespaces of its own."""
    return _wrapped([sys.executable, "-m", module, *arguments])


def _wrapped(argv: list[str]) -> list[str]:
    users = () if _administers() else ("--user", "--map-root-user")
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *users, *_UNSHARE, "--", *argv]


def _administers() -> bool:
    """Whether we may make namespaces as we are: CAP_SYS_ADMIN, which root in a container often lacks."""
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def settle_in() -> None:
    """The first thing in there: a /run of our own, where `ip netns` keeps its names. Raises CalledProcessError."""
    os.environ["PATH"] = search_path()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/netns").mkdir()
