"""The kinds of speaker that `[speaker] kind` may name: for each, the settings it reads and the daemon it drives.

A new daemon is one module with its settings and its `Daemon`, one with its language, and one line in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

from hopkeeper_agent.decoding import Address, ConfigError, Prefix, decode, pick, whole
from hopkeeper_agent.messages import PREPEND_MAX
from hopkeeper_agent.role import Advertisement
from hopkeeper_agent.speakers import NoSpeaker, Speaker
from hopkeeper_agent.speakers.bird import Bird, BirdSettings
from hopkeeper_agent.speakers.daemon import Daemon, DaemonSpeaker
from hopkeeper_agent.speakers.exabgp import ExaBgpSpeaker
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.speakers.frr import Frr, FrrSettings
from hopkeeper_agent.speakers.settings import DaemonSettings, SpeakerSettings

S = TypeVar("S", bound="SpeakerSettings | StatedSettings")
D = TypeVar("D", bound=DaemonSettings)

_PATH_FOR_EXABGP = re.compile(r"[A-Za-z0-9_./+@=,:-]+")
"""ExaBGP splits its configuration at blanks and special characters."""


class Kind(Protocol[S]):
    """One kind of speaker. `state` is the agent's state directory."""

    @property
    def settings(self) -> type[S]:
        """The shape of its section of the configuration."""

    def speaker(self, settings: S, state: Path, changed: Callable[[], None]) -> Speaker:
        """The speaker; `changed` is called when a session or a finding changes. Raises ConfigError."""

    def process(self, settings: S, state: Path) -> ExaBgpProcess | None:
        """The daemon's process, None if the agent does not start it. Raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Operated(Generic[D]):  # noqa: UP046 - Python 3.11
    """A daemon that the operator configures and starts."""

    settings: type[D]
    daemon: Callable[[D], Daemon]

    def speaker(self, settings: D, state: Path, changed: Callable[[], None]) -> Speaker:
        """The speaker that drives the daemon."""
        return DaemonSpeaker(self.daemon(settings), settings, changed)

    def process(self, settings: D, state: Path) -> None:
        """None: it is the operator's."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """ExaBGP, which the agent configures and starts."""

    settings: type[BgpSettings] = BgpSettings

    def speaker(self, settings: BgpSettings, state: Path, changed: Callable[[], None]) -> Speaker:
        """The speaker that drives ExaBGP. Raises ConfigError."""
        return ExaBgpSpeaker(settings, self.process(settings, state), changed)

    def process(self, settings: BgpSettings, state: Path) -> ExaBgpProcess:
        """ExaBGP's process. Raises ConfigError."""
        if not _PATH_FOR_EXABGP.fullmatch(str(state)):
            raise ConfigError("agent.state: with an exabgp speaker, no blanks or special characters in the path")
        return ExaBgpProcess(state, settings)


@dataclass(frozen=True, slots=True)
class Statement:
    """A route that the operator's own configuration announces to Route Servers, as `Advertisement`."""

    prefix: Prefix
    next_hop: Address
    prepend: Annotated[int, whole(0, PREPEND_MAX)] = 0


@dataclass(frozen=True, slots=True)
class StatedSettings:
    """The appliance speaks BGP by other means."""

    announces: tuple[Statement, ...] = ()

    @property
    def outward(self) -> frozenset[IPv4Address]:
        """None: what on-premises neighbours are sent follows the role, and no agent changes it here."""
        return frozenset()

    def next_hop(self, agent: IPv4Address) -> IPv4Address:
        """Of nothing."""
        return agent


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """No daemon of ours to drive: the operator's own configuration announces, or nothing does."""

    settings: type[StatedSettings] = StatedSettings

    def speaker(self, settings: StatedSettings, state: Path, changed: Callable[[], None]) -> Speaker:
        """The speaker that knows what is announced by the operator's word."""
        return NoSpeaker([Advertisement(a.prefix, a.next_hop, a.prepend) for a in settings.announces])

    def process(self, settings: StatedSettings, state: Path) -> None:
        """None."""


Kinds = Mapping[str, Kind[Any]]

KINDS: Kinds = {
    "exabgp": Embedded(),
    "bird": Operated(BirdSettings, Bird),
    "frr": Operated(FrrSettings, Frr),
    "none": Elsewhere(),
}


@dataclass(frozen=True, slots=True)
class ConfiguredSpeaker:
    """A kind, and the settings of its section."""

    kind: Kind[Any]
    settings: SpeakerSettings | StatedSettings

    def make(self, state: Path, changed: Callable[[], None]) -> Speaker:
        """See `Kind.speaker`."""
        return self.kind.speaker(self.settings, state, changed)

    def process(self, state: Path) -> ExaBgpProcess | None:
        """See `Kind.process`."""
        return self.kind.process(self.settings, state)


def decode_speaker(section: Mapping[str, Any], kinds: Kinds) -> ConfiguredSpeaker | None:
    """Read the section `[speaker]`; None for a kind `none` that announces nothing. Raises ConfigError."""
    table = dict(section)
    kind = pick(kinds, table, "speaker")
    settings = decode(kind.settings, table, "speaker")
    return None if settings == StatedSettings() else ConfiguredSpeaker(kind, settings)
