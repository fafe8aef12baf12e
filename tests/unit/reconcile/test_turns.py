"""Slow passes take turns: a thousand events make two passes, and no request is lost."""

import asyncio
from datetime import timedelta

from function_app.reconcile.passes.outcome import CONVERGED, Outcome
from function_app.reconcile.passes.turns import in_turn
from tests.builders import topology
from tests.fakes import FakeClock, FakeDocuments, FakeWorld, make_ports

LEASE = timedelta(seconds=16)


async def test_wake_ups_while_a_pass_runs_make_exactly_one_more() -> None:
    documents, clock = FakeDocuments(), FakeClock()
    ports = make_ports(FakeWorld(topology()), documents=documents, clock=clock)
    started, may_end = asyncio.Event(), asyncio.Event()
    passes = 0

    async def slow() -> Outcome:
        nonlocal passes
        passes += 1
        started.set()
        await may_end.wait()
        return CONVERGED

    first = asyncio.ensure_future(in_turn(ports, "hub", LEASE, slow))
    await started.wait()
    others = [await in_turn(ports, "hub", LEASE, slow) for _ in range(1000)]
    may_end.set()
    assert await first is CONVERGED
    assert others == [None] * 1000
    assert passes == 2


async def test_a_pass_that_finds_the_lease_free_stores_no_request() -> None:
    documents = FakeDocuments()

    async def slow() -> Outcome:
        return CONVERGED

    ports = make_ports(FakeWorld(topology()), documents=documents, clock=FakeClock())
    assert await in_turn(ports, "hub", LEASE, slow) is CONVERGED
    assert set(documents.stored) == {"turns/hub/lease"}


async def test_a_lease_that_is_released_as_the_request_is_stored_is_taken() -> None:
    """The holder may have read the requests already: then no later pass would serve this one."""

    class ReleasedMeanwhile(FakeDocuments):
        async def put(self, key: str, body: bytes) -> None:
            await super().put(key, body)
            if key == "turns/hub/asked":
                await super().put("turns/hub/lease", b'{"until":"2026-01-01T02:59:00Z"}')

    async def slow() -> Outcome:
        return CONVERGED

    documents = ReleasedMeanwhile()
    await documents.put("turns/hub/lease", b'{"until":"2026-01-01T03:00:15Z"}')
    ports = make_ports(FakeWorld(topology()), documents=documents, clock=FakeClock())
    assert await in_turn(ports, "hub", LEASE, slow) is CONVERGED


async def test_a_lease_that_was_not_released_ends_by_itself() -> None:
    documents, clock = FakeDocuments(), FakeClock()
    ports = make_ports(FakeWorld(topology()), documents=documents, clock=clock)

    async def dies() -> Outcome:
        raise asyncio.CancelledError

    async def slow() -> Outcome:
        return CONVERGED

    documents_before = dict(documents.stored)
    try:
        await in_turn(ports, "hub", LEASE, dies)
    except asyncio.CancelledError:
        assert documents.stored != documents_before
    await documents.put("turns/hub/lease", b'{"until":"2026-01-01T03:00:15Z"}')
    assert await in_turn(ports, "hub", LEASE, slow) is None
    clock.at += LEASE + timedelta(seconds=1)
    assert await in_turn(ports, "hub", LEASE, slow) is CONVERGED


async def test_a_torn_lease_does_not_block_for_ever() -> None:
    documents, clock = FakeDocuments(), FakeClock()
    ports = make_ports(FakeWorld(topology()), documents=documents, clock=clock)

    async def slow() -> Outcome:
        return CONVERGED

    await documents.put("turns/hub/lease", b"\x00torn")
    assert await in_turn(ports, "hub", LEASE, slow) is CONVERGED


async def test_a_lease_by_a_clock_that_is_ahead_keeps_no_pass_away() -> None:
    documents, clock = FakeDocuments(), FakeClock()
    ports = make_ports(FakeWorld(topology()), documents=documents, clock=clock)

    async def slow() -> Outcome:
        return CONVERGED

    await documents.put("turns/hub/lease", b'{"until":"2026-01-01T03:09:10Z"}')
    assert await in_turn(ports, "hub", LEASE, slow) is CONVERGED
