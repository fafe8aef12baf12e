"""Events in swarms, and sweeps of many topologies: how many passes they make, and what they read."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from function_app.domain.base.errors import Superseded
from function_app.domain.topology.laws import Place
from function_app.reconcile.passes.come_back import APART, come_back
from function_app.reconcile.passes.sweeps import AT_ONCE_MOST, SPREAD_MOST
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import SUB, document, text
from tests.fakes import FakeClock, FakeDocuments, FakeWakeUps, FakeWorld, make_ports

NOW = timedelta(0)


class Swarm:
    """An app over topologies, each with a Route Server of its own."""

    def __init__(self, documents: FakeDocuments | None = None) -> None:
        self.documents = documents or FakeDocuments()
        self.clock, self.wake_ups = FakeClock(), FakeWakeUps()
        self.topologies = Topologies(self.documents, Place())
        world = FakeWorld(self.topologies.decoded(of("hub")))
        self.app = UseCases(
            replace(make_ports(world, self.documents, self.clock), wake_ups=self.wake_ups), self.topologies
        )

    async def with_topologies(self, count: int) -> None:
        for number in range(count):
            await self.documents.put(keys.topology(f"hub-{number}"), of(f"hub-{number}").encode())

    async def event(self, name: str = "hub-0", later: timedelta = NOW) -> tuple[str, ...]:
        self.clock.at += later
        return await self.app.wake_for([server(name)])

    @property
    def sent(self) -> list[timedelta]:
        return [after for _, after in self.wake_ups.sent]


def server(name: str) -> str:
    return f"{SUB}/virtualHubs/rs-of-{name}"


def of(name: str) -> str:
    plain = document(name=name, services=[])
    plain["routeServers"][0]["id"] = server(name)
    return text(plain)


async def test_the_first_event_wakes_at_once_and_all_that_follow_it_together_once_more() -> None:
    swarm = Swarm()
    await swarm.with_topologies(1)
    for _ in range(1000):
        assert await swarm.event(later=timedelta(milliseconds=4)) == ("hub-0",)
    assert swarm.sent == [NOW, APART - timedelta(milliseconds=4)]


async def test_an_event_long_after_the_last_one_wakes_at_once() -> None:
    swarm = Swarm()
    await swarm.with_topologies(1)
    await swarm.event()
    await swarm.event(later=APART)
    assert swarm.sent == [NOW, NOW]


async def test_an_event_is_looked_at_at_once_though_a_wake_up_is_due_much_later_and_not_where_one_is_due_soon() -> None:
    swarm = Swarm()
    await swarm.with_topologies(1)
    await come_back(swarm.app.ports, "hub-0", timedelta(seconds=60))
    await swarm.event()
    await come_back(swarm.app.ports, "hub-0", timedelta(seconds=3))
    await swarm.event()
    assert swarm.sent == [timedelta(seconds=60), NOW, timedelta(seconds=3)]


async def test_an_event_wakes_though_another_writer_was_faster_for_that_one_may_be_older() -> None:
    class Raced(FakeDocuments):
        async def save(self, key: str, body: bytes, etag: str | None) -> str:
            raise Superseded(key)

    swarm = Swarm(Raced())
    await swarm.with_topologies(1)
    await swarm.event()
    assert swarm.sent == [NOW]


async def test_an_event_reads_no_document_that_has_not_changed() -> None:
    documents = FakeDocuments()
    swarm = Swarm(documents)
    await swarm.with_topologies(3)
    await swarm.event("hub-1")
    documents.loads.clear()
    assert await swarm.event("hub-2") == ("hub-2",)
    assert [key for key in documents.loads if key.startswith(keys.TOPOLOGIES)] == []
    await documents.put(keys.topology("hub-1"), of("hub-1").replace("rs-of-hub-1", "rs-of-hub-9").encode())
    assert await swarm.event("hub-1") == ()
    assert await swarm.event("hub-9") == ("hub-1",)
    assert documents.loads.count(keys.topology("hub-1")) == 1


async def test_a_document_that_cannot_be_used_is_read_again_until_it_can_and_hides_no_other() -> None:
    swarm = Swarm()
    await swarm.with_topologies(2)
    await swarm.documents.put(keys.topology("hub-0"), b"not: [a topology")
    assert await swarm.event("hub-1") == ("hub-1",)
    await swarm.documents.put(keys.topology("hub-0"), of("hub-0").encode())
    assert await swarm.event("hub-0") == ("hub-0",)


async def sweep(count: int) -> Mapping[str, timedelta]:
    swarm = Swarm()
    await swarm.with_topologies(count)
    await swarm.app.wake_all()
    return dict(swarm.wake_ups.sent)


@pytest.mark.parametrize("count", [1, AT_ONCE_MOST])
async def test_a_few_topologies_are_swept_at_once(count: int) -> None:
    assert set((await sweep(count)).values()) == {NOW}


async def test_many_topologies_are_swept_one_after_the_other_each_at_its_own_moment() -> None:
    first, second = await sweep(400), await sweep(400)
    assert first == second
    moments = sorted(first.values())
    assert (moments[0] >= NOW, moments[-1] <= SPREAD_MOST) == (True, True)
    in_ten_seconds = max(sum(start <= at < start + timedelta(seconds=10) for at in moments) for start in moments)
    assert in_ten_seconds < 130, "80 at 8 a second, were they spread evenly"
