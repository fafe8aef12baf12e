"""A new kind of daemon is a module of its own and a line in the registry: here, one that keeps what it announces in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated

import pytest
from hopkeeper_agent import config, loading
from hopkeeper_agent.decoding import AbsolutePath, ConfigError, whole
from hopkeeper_agent.role import Advertisement
from hopkeeper_agent.speakers import SessionState
from hopkeeper_agent.speakers.daemon import PeerReading, Routes
from hopkeeper_agent.speakers.kinds import KINDS, Operated
from hopkeeper_agent.speakers.settings import DaemonSettings

from tests.unit.agent.stage import until
from tests.unit.agent.test_config import NEIGHBOUR, SMALLEST

DEFAULT = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 2)


@dataclass(frozen=True, slots=True)
class ToySettings(DaemonSettings):
    """Where it would be reached, and a key with a rule."""

    control: AbsolutePath = Path("/run/toy.sock")
    rounds: Annotated[int, whole(1, 3)] = 1


class Toy:
    """Sends at once what it holds."""

    name = "toy"

    def __init__(self, settings: ToySettings) -> None:
        self._neighbours = [neighbour.address for neighbour in settings.neighbours]
        self._routes: dict[IPv4Network, Advertisement] = {}

    async def connect(self) -> asyncio.Event:
        return asyncio.Event()

    async def held(self) -> dict[IPv4Network, Advertisement]:
        return dict(self._routes)

    async def replace(self, held: Routes, wanted: Routes) -> None:
        self._routes = dict(wanted)

    async def peers(self) -> Mapping[IPv4Address, PeerReading]:
        return {address: PeerReading(established=True) for address in self._neighbours}

    async def sent(self, peer: IPv4Address) -> dict[IPv4Network, Advertisement]:
        return dict(self._routes)

    async def tend(self, wanted: Routes | None) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        """Nothing to let go."""


WITH_TOY = {**KINDS, "toy": Operated(ToySettings, Toy)}
TOML = f'{SMALLEST}[speaker]\nkind = "toy"\nasn = 65001\n{NEIGHBOUR}'


async def test_a_registered_daemon_is_configured_and_announces() -> None:
    speaker = loading.speaker(config.decode(TOML, WITH_TOY), lambda: None)
    await speaker.start()
    await speaker.announce([DEFAULT])
    session = speaker.sessions()[IPv4Address("10.0.0.36")]
    assert (session.state, session.sent) == (SessionState.ESTABLISHED, (DEFAULT,))
    await until(lambda: speaker.findings()["speaker"].detail == "")
    await speaker.close()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("rounds = 4", "speaker.rounds: must be a whole number from 1 to 3"),
        ("round = 1", "speaker.round: unknown key"),
        ('control = "toy.sock"', "speaker.control: must be an absolute path"),
        ("asn = 70000", "speaker.asn: must be a whole number from 1 to 65534"),
    ],
)
def test_its_keys_are_read_as_strictly_as_all_others(more: str, message: str) -> None:
    text = TOML.replace("asn = 65001", more if more.startswith("asn") else f"asn = 65001\n{more}", 1)
    with pytest.raises(ConfigError, match=message):
        config.decode(text, WITH_TOY)


def test_a_kind_that_is_not_registered_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"speaker\.kind: must be exabgp, bird, frr or none"):
        config.decode(TOML)


def test_a_speaker_that_is_the_operators_has_no_process_of_the_agents() -> None:
    assert loading.process(config.decode(TOML, WITH_TOY)) is None
