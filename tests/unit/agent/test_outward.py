"""What on-premises neighbours are sent follows the role at once, and no change of role waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network

import pytest
from hopkeeper_agent import config
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.duties import Duties, Start
from hopkeeper_agent.loading import outward_from
from hopkeeper_agent.role import (
    Accepted,
    Advertise,
    Advertisement,
    AdvertiseOutward,
    Command,
    Fence,
    Outward,
    Promote,
    Refused,
    Role,
    ServiceState,
    Toward,
    Turn,
    advertise_outward,
    outward,
)

from tests.unit.agent.stage import until
from tests.unit.agent.test_config import NEIGHBOUR, SMALLEST
from tests.unit.agent.test_duties import BOOT, Disk, Voice

HERE = IPv4Address("10.0.1.4")
PREFIX, OTHER = IPv4Network("10.0.0.0/16"), IPv4Network("10.4.0.0/16")
SHORT, LONG = (Advertisement(PREFIX, HERE, prepend, Toward.OUTWARD) for prepend in (0, 3))


def tell(seq: int = 1, prefixes: tuple[IPv4Network, ...] = (PREFIX,), prepend: int | None = 3) -> AdvertiseOutward:
    return AdvertiseOutward("s", Turn(5, seq), prefixes, prepend)


class Slow(Voice):
    """An outward announcement takes until `heard` is set."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.taken = asyncio.Event()
        self.taken.set()

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        if toward is Toward.OUTWARD:
            await self.taken.wait()
        await super().announce(advertisements, toward)


def office(role: Role = Role.STANDBY, address: IPv4Address | None = HERE) -> tuple[Duties, Disk, Slow]:
    disk = Disk()
    voice = Slow(disk)
    states = {"s": ServiceState(Turn(5, 2), role)}
    return Duties(disk, voice, Start(BOOT, states, is_durable=True, outward_from=address)), disk, voice


async def announced(voice: Voice, *expected: list[Advertisement]) -> None:
    """What was announced outward in the end, each change once."""
    await until(lambda: voice.outward == list(expected))


@pytest.mark.parametrize(
    ("role", "prepend", "prepended"),
    [
        (Role.SERVING, 3, 0),
        (Role.SERVING, None, 0),
        (Role.STANDBY, 3, 3),
        (Role.STANDBY, None, None),
    ],
)
def test_the_role_says_what_is_announced(role: Role, prepend: int | None, prepended: int | None) -> None:
    state = ServiceState(Turn(5, 2), role, outward=Outward(Turn(5, 1), (PREFIX,), prepend))
    expected = () if prepended is None else (Advertisement(PREFIX, HERE, prepended, Toward.OUTWARD),)
    assert outward(state, HERE) == expected


def test_an_older_word_is_refused_and_an_equal_one_must_be_the_same() -> None:
    state = ServiceState(outward=Outward(Turn(5, 2), (PREFIX,), 3))
    assert isinstance(advertise_outward(tell(1), state, {}), Refused)
    assert isinstance(advertise_outward(tell(2, prepend=None), state, {}), Refused)
    assert advertise_outward(tell(2), state, {}) == Accepted(state)
    assert isinstance(advertise_outward(tell(3, prepend=None), state, {}), Accepted)


@pytest.mark.parametrize(
    ("role", "change", "before", "after"),
    [
        (Role.STANDBY, lambda: Promote("s", Turn(6, 0), BOOT), LONG, SHORT),
        (Role.SERVING, lambda: Fence("s", Turn(6, 1)), SHORT, LONG),
    ],
    ids=["promote", "fence"],
)
async def test_a_change_of_role_is_announced_outward_without_another_command(
    role: Role, change: Callable[[], Command], before: Advertisement, after: Advertisement
) -> None:
    duties, _, voice = office(role)
    assert await duties.obey(tell()) is None
    await announced(voice, [before])
    assert await duties.obey(change()) is None
    await announced(voice, [before], [after])
    assert not voice.announced


async def test_a_higher_epoch_of_a_peer_is_announced_outward_too() -> None:
    duties, _, voice = office(Role.SERVING)
    await duties.obey(tell())
    await announced(voice, [SHORT])
    duties.note_peer_epoch("s", 9)
    await announced(voice, [SHORT], [LONG])
    await duties.close()


async def test_a_standby_that_withholds_announces_nothing_and_comes_back_with_its_role() -> None:
    duties, _, voice = office()
    await duties.obey(tell(prepend=None))
    await duties.obey(Promote("s", Turn(6, 0), BOOT))
    await announced(voice, [], [SHORT])


async def test_no_role_and_no_advertisement_waits_for_a_neighbour_on_premises() -> None:
    duties, _, voice = office()
    voice.taken.clear()
    route = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0)
    async with asyncio.timeout(2):
        assert await duties.obey(tell()) is None
        assert await duties.obey(Promote("s", Turn(6, 0), BOOT)) is None
        assert await duties.obey(Advertise("s", Turn(6, 1), (route,))) is None
        assert await duties.obey(Fence("s", Turn(7, 1))) is None
    assert (voice.announced, voice.outward) == ([[route]], [])
    await duties.close()


async def test_what_is_outward_is_durable_before_it_is_announced() -> None:
    duties, disk, voice = office()
    disk.broken = True
    assert await duties.obey(tell()) == "state cannot be made durable"
    await duties.close()
    assert (duties.states["s"].outward, voice.outward) == (None, [])


async def test_a_prefix_is_announced_for_one_purpose_only_and_route_servers_come_first() -> None:
    duties, _, voice = office()
    inward = Advertise("t", Turn(1, 1), (Advertisement(OTHER, HERE, 0),))
    assert await duties.obey(tell(prefixes=(PREFIX, OTHER))) is None
    assert await duties.obey(AdvertiseOutward("t", Turn(1, 1), (PREFIX,), 3)) == f"{PREFIX} is announced for service s"
    assert await duties.obey(inward) is None
    assert duties.outward("s") == (LONG,)
    assert await duties.obey(tell(2, prefixes=(OTHER,))) == f"{OTHER} is announced for service t"
    assert voice.announced == [list(inward.advertisements)]
    await duties.close()


async def test_without_outward_neighbours_the_order_is_refused_but_its_end_is_taken() -> None:
    duties, disk, voice = office(address=None)
    assert await duties.obey(tell()) == "no outward neighbour is configured"
    assert await duties.obey(tell(2, prefixes=())) is None
    await duties.close()
    assert (len(disk.saved), voice.outward) == (1, [])


async def test_a_witness_announces_nothing() -> None:
    disk = Disk()
    duties = Duties(disk, Voice(disk), Start(BOOT, {}, is_durable=True, is_witness=True, outward_from=HERE))
    assert await duties.obey(tell()) == "a witness serves and announces nothing"


def test_a_neighbour_says_which_group_it_is_of() -> None:
    text = SMALLEST + '[speaker]\nkind = "frr"\nasn = 65001\n' + NEIGHBOUR
    premises = '[[speaker.neighbors]]\naddress = "192.168.100.1"\nasn = 64600\ngroup = "outward"\n'
    assert outward_from(config.decode(SMALLEST)) is None
    assert outward_from(config.decode(text)) is None
    decoded = config.decode(text + premises)
    assert decoded.speaker is not None
    assert decoded.speaker.settings.outward == {IPv4Address("192.168.100.1")}
    assert outward_from(decoded) == IPv4Address("10.0.1.4")
    elsewhere = text.replace("asn = 65001\n", 'asn = 65001\naddress = "10.0.2.4"\n')
    assert outward_from(config.decode(elsewhere + premises)) == IPv4Address("10.0.2.4")
    with pytest.raises(ConfigError, match=r"speaker.neighbors\[1\].group: must be route-servers or outward"):
        config.decode(text + premises.replace('"outward"', '"inward"'))
