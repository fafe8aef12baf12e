"""Order of effect and durability, with disks and speakers that fail or dawdle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from hopkeeper_agent.duties import Duties, Start
from hopkeeper_agent.role import Advertise, Advertised, Advertisement, Fence, Promote, Role, ServiceState, Toward, Turn
from hopkeeper_agent.speakers import SpeakerError

BOOT = "a" * 32
SERVING = ServiceState(Turn(5, 2), Role.SERVING)
ROUTE = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0)


class Disk:
    """Keeps what was saved; fails while `broken`, waits while `hold` is clear."""

    def __init__(self) -> None:
        self.saved: list[dict[str, ServiceState]] = []
        self.broken = False
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()

    def save(self, states: Mapping[str, ServiceState]) -> None:
        self.entered.set()
        assert self.hold.wait(5)
        if self.broken:
            raise OSError("no space left on device")
        self.saved.append(dict(states))


class Voice:
    """Remembers what was announced, and what the disk held then."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.announced: list[list[Advertisement]] = []
        self.outward: list[list[Advertisement]] = []
        self.durable_first: list[bool] = []
        self.hoarse = False

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        if toward is Toward.OUTWARD:
            self.outward.append(list(advertisements))
            return
        self.durable_first.append(bool(self.disk.saved))
        if self.hoarse:
            raise SpeakerError("an UPDATE is not sent yet")
        self.announced.append(list(advertisements))


def office(state: ServiceState | None = None) -> tuple[Duties, Disk, Voice]:
    disk = Disk()
    voice = Voice(disk)
    return Duties(disk, voice, Start(BOOT, {} if state is None else {"s": state}, is_durable=True)), disk, voice


async def entered(disk: Disk) -> None:
    assert await asyncio.to_thread(disk.entered.wait, 5)


async def test_a_fence_is_in_effect_before_it_is_durable() -> None:
    duties, disk, _ = office(SERVING)
    disk.hold.clear()
    fencing = asyncio.create_task(duties.obey(Fence("s", Turn(6, 1))))
    await entered(disk)
    assert duties.states["s"].role is Role.STANDBY
    assert not disk.saved
    disk.hold.set()
    assert await fencing is None
    assert disk.saved[-1]["s"].role is Role.STANDBY


async def test_a_fence_that_cannot_be_made_durable_stays_in_effect_and_is_not_acknowledged() -> None:
    duties, disk, _ = office(SERVING)
    disk.broken = True
    assert await duties.obey(Fence("s", Turn(6, 1))) == "state cannot be made durable"
    assert duties.states["s"].role is Role.STANDBY
    assert not duties.is_durable("s")


async def test_what_is_in_effect_is_durable_once_the_disk_holds_its_turn_and_its_role() -> None:
    duties, disk, _ = office(SERVING)
    assert duties.is_durable("s")
    assert duties.is_durable("never commanded")
    disk.hold.clear()
    fencing = asyncio.create_task(duties.obey(Fence("s", Turn(6, 1))))
    await entered(disk)
    assert not duties.is_durable("s")
    disk.hold.set()
    assert await fencing is None
    assert duties.is_durable("s")
    assert not Duties(disk, Voice(disk), Start(BOOT, {"s": SERVING}, is_durable=False)).is_durable("s")


async def test_one_that_stepped_down_by_itself_has_not_until_the_disk_says_so() -> None:
    """Its turn is the same: only the role shows it."""
    duties, disk, _ = office(SERVING)
    disk.hold.clear()
    duties.note_peer_epoch("s", 9)
    await entered(disk)
    assert (duties.states["s"].role, duties.is_durable("s")) == (Role.STANDBY, False)
    disk.hold.set()
    await duties.close()
    assert duties.is_durable("s")


async def test_a_repeated_fence_is_acknowledged_only_once_it_is_durable() -> None:
    duties, disk, _ = office(SERVING)
    disk.broken = True
    assert await duties.obey(Fence("s", Turn(6, 1))) is not None
    assert await duties.obey(Fence("s", Turn(6, 1))) is not None
    disk.broken = False
    assert await duties.obey(Fence("s", Turn(6, 1))) is None
    assert disk.saved[-1]["s"] == ServiceState(Turn(6, 1), Role.STANDBY)


async def test_a_promotion_is_durable_before_it_is_in_effect() -> None:
    duties, disk, _ = office()
    disk.hold.clear()
    promoting = asyncio.create_task(duties.obey(Promote("s", Turn(6, 1), BOOT)))
    await entered(disk)
    assert "s" not in duties.states
    disk.hold.set()
    assert await promoting is None
    assert duties.states["s"].role is Role.SERVING
    assert disk.saved[-1]["s"].role is Role.SERVING


async def test_a_promotion_that_cannot_be_made_durable_is_refused_and_has_no_effect() -> None:
    duties, disk, _ = office()
    disk.broken = True
    assert await duties.obey(Promote("s", Turn(6, 1), BOOT)) == "state cannot be made durable"
    assert "s" not in duties.states


async def test_a_fence_that_comes_while_a_promotion_is_written_wins() -> None:
    duties, disk, _ = office()
    disk.hold.clear()
    promoting = asyncio.create_task(duties.obey(Promote("s", Turn(6, 1), BOOT)))
    await entered(disk)
    fencing = asyncio.create_task(duties.obey(Fence("s", Turn(7, 1))))
    await asyncio.sleep(0)
    disk.hold.set()
    assert await promoting is not None
    assert await fencing is None
    assert duties.states["s"] == ServiceState(Turn(7, 1), Role.STANDBY)
    assert disk.saved[-1]["s"] == duties.states["s"]


async def test_a_higher_epoch_received_while_a_promotion_is_written_wins() -> None:
    duties, disk, _ = office()
    disk.hold.clear()
    promoting = asyncio.create_task(duties.obey(Promote("s", Turn(6, 1), BOOT)))
    await entered(disk)
    duties.note_peer_epoch("s", 8)
    disk.hold.set()
    assert await promoting is not None
    await duties.close()
    assert duties.states["s"].role is Role.STANDBY
    assert disk.saved[-1]["s"].role is Role.STANDBY


async def test_hearing_a_higher_epoch_demotes_at_once_and_durably() -> None:
    duties, disk, _ = office(SERVING)
    duties.note_peer_epoch("s", 6)
    assert duties.states["s"] == ServiceState(Turn(5, 2), Role.STANDBY)
    await duties.close()
    assert disk.saved == [{"s": ServiceState(Turn(5, 2), Role.STANDBY)}]


async def test_advertisements_are_durable_before_they_are_announced() -> None:
    duties, _, voice = office(SERVING)
    assert await duties.obey(Advertise("s", Turn(5, 3), (ROUTE,))) is None
    assert voice.durable_first == [True]
    assert voice.announced == [[ROUTE]]


async def test_advertisements_that_cannot_be_made_durable_are_not_announced() -> None:
    duties, disk, voice = office(SERVING)
    disk.broken = True
    assert await duties.obey(Advertise("s", Turn(5, 3), (ROUTE,))) is not None
    assert not voice.durable_first
    assert duties.states["s"].advertised is None


async def test_advertisements_the_speaker_is_not_certain_of_are_not_acknowledged_and_can_be_repeated() -> None:
    duties, _, voice = office(SERVING)
    voice.hoarse = True
    command = Advertise("s", Turn(5, 3), (ROUTE,))
    assert await duties.obey(command) == "speaker: an UPDATE is not sent yet"
    voice.hoarse = False
    assert await duties.obey(command) is None


async def test_all_services_are_announced_together() -> None:
    duties, _, voice = office()
    other = Advertisement(IPv4Network("10.9.0.0/16"), IPv4Address("10.0.1.5"), 1)
    await duties.obey(Advertise("s", Turn(1, 1), (ROUTE,)))
    await duties.obey(Advertise("t", Turn(1, 1), (other,)))
    assert voice.announced[-1] == [ROUTE, other]


async def test_a_witness_takes_no_role_and_announces_nothing() -> None:
    disk = Disk()
    voice = Voice(disk)
    duties = Duties(disk, voice, Start(BOOT, {}, is_durable=True, is_witness=True))
    for command in (Promote("s", Turn(6, 1), BOOT), Advertise("s", Turn(6, 1), (ROUTE,))):
        assert await duties.obey(command) == "a witness serves and announces nothing"
    assert (disk.saved, voice.announced) == ([], [])


async def test_the_highest_epoch_that_an_agent_received_never_falls() -> None:
    duties, _, _ = office()
    assert isinstance(duties, Duties)
    duties.note_peer_epoch("s", 9)
    duties.note_peer_epoch("s", 4)
    assert await duties.obey(Promote("s", Turn(6, 0), BOOT)) is not None
    assert await duties.obey(Promote("s", Turn(9, 0), BOOT)) is None


async def test_an_order_that_the_speaker_refused_is_not_sure_until_the_speaker_took_one() -> None:
    duties, _, voice = office()
    voice.hoarse = True
    assert await duties.obey(Advertise("s", Turn(5, 1), ())) == "speaker: an UPDATE is not sent yet"
    assert not duties.is_sure("s")
    voice.hoarse = False
    assert await duties.obey(Advertise("s", Turn(5, 1), ())) is None
    assert duties.is_sure("s")


async def test_what_was_ordered_before_a_start_is_not_sure_until_it_was_announced_again() -> None:
    duties, _, voice = office(ServiceState(advertised=Advertised(Turn(5, 1), ())))
    voice.hoarse = True
    await duties.announce()
    assert not duties.is_sure("s")
    voice.hoarse = False
    await duties.announce()
    assert duties.is_sure("s")
