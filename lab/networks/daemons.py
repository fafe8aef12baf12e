"""BGP daemons that run what was rendered for a speaker, word for word, as its operator would start them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.packets.agents import ENVIRONMENT
from lab.packets.speakers import BGPD

# BIRD's text includes a file of the agent's from here; a world has a /var/lib of its own (`world.py`).
AGENT_FILES = Path("/var/lib/hopkeeper-speaker")


@dataclass(frozen=True, slots=True)
class Daemon:
    """`argv` gives the command line for a configuration in a directory of its own; `package` is Debian's."""

    vendor: str
    package: str
    argv: Callable[[Path], list[str]]
    there: Callable[[], bool] = lambda: True
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        return None if self.there() else f"Debian package {self.package}"


def _bird(config: Path) -> list[str]:
    home = config.parent
    return ["bird", "-f", "-c", str(config), "-s", str(home / "bird.ctl"), "-P", str(home / "bird.pid")]


def _frr(config: Path) -> list[str]:
    """bgpd alone: what is passed on need not be in this machine's routing table."""
    home = config.parent
    files = ["-f", str(config), "-i", str(home / "pid"), "--vty_socket", str(home), "-z", str(home / "zserv")]
    return [str(BGPD), "-S", "-Z", "-P", "0", "--log", f"file:{home / 'bgpd.log'}", *files]


def _exabgp(config: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("exabgp")), "server", str(config)]


_EXABGP = {**ENVIRONMENT, "exabgp.daemon.drop": "false", "exabgp.api.cli": "false"}

DAEMONS: Mapping[str, Daemon] = {
    daemon.vendor: daemon
    for daemon in (
        Daemon("bird", "bird2", _bird),
        Daemon("frr", "frr", _frr, BGPD.exists),
        Daemon("exabgp", "", _exabgp, environment=_EXABGP),
    )
}
"""By vendor, as `render` names it."""
