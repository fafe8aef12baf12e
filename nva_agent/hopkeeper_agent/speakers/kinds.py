"""The kinds of speaker that `[speaker] kind` may name: for each, the settings it reads and the daemon it drives.

A new daemon is one module with its settings and its `Daemon`, one with its language, and one line in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from hopkeeper_agent.decoding import ConfigError, decode, pick
from hopkeeper_agent.speakers import Speaker
from hopkeeper_agent.speakers.bird import Bird, BirdSettings
from hopkeeper_agent.speakers.daemon import Daemon, DaemonSpeaker
from hopkeeper_agent.speakers.exabgp import ExaBgpSpeaker
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from hopkeeper_agent.speakers.exabgp_process import ExaBgpProcess
from hopkeeper_agent.speakers.frr import Frr, FrrSettings
from hopkeeper_agent.speakers.settings import DaemonSettings, SpeakerSettings

S = TypeVar("S", bound=SpeakerSettings)
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


Kinds = Mapping[str, Kind[Any] | None]

KINDS: Kinds = {
    "exabgp": Embedded(),
    "bird": Operated(BirdSettings, Bird),
    "frr": Operated(FrrSettings, Frr),
    # The appliance speaks BGP by other means.
    "none": None,
}


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A section with no key but `kind`."""


@dataclass(frozen=True, slots=True)
class ConfiguredSpeaker:
    """A kind, and the settings of its section."""

    kind: Kind[Any]
    settings: SpeakerSettings

    def make(self, state: Path, changed: Callable[[], None]) -> Speaker:
        """See `Kind.speaker`."""
        return self.kind.speaker(self.settings, state, changed)

    def process(self, state: Path) -> ExaBgpProcess | None:
        """See `Kind.process`."""
        return self.kind.process(self.settings, state)


def decode_speaker(section: Mapping[str, Any], kinds: Kinds) -> ConfiguredSpeaker | None:
    """Read the section `[speaker]`; None for the kind `none`. Raises ConfigError."""
    table = dict(section)
    kind = pick(kinds, table, "speaker")
    if kind is None:
        decode(_Nothing, table, "speaker")
        return None
    return ConfiguredSpeaker(kind, decode(kind.settings, table, "speaker"))
