"""Slow passes take turns: a thousand events make two passes, and nobody's request is lost."""

import asyncio
from datetime import timedelta

from function_app.reconcile.outcome import CONVERGED, Outcome
from function_app.reconcile.turns import LEASE, in_turn
from tests.fakes import FakeClock, FakeDocuments


async def test_wake_ups_while_a_pass_runs_make_exactly_one_more() -> None:
    documents, clock = FakeDocuments(), FakeClock()
    started, may_end = asyncio.Event(), asyncio.Event()
    passes = 0

    async def slow() -> Outcome:
        nonlocal passes
        passes += 1
        started.set()
        await may_end.wait()
        return CONVERGED

    first = asyncio.ensure_future(in_turn(documents, clock, "hub", slow))
    await started.wait()
    others = [await in_turn(documents, clock, "hub", slow) for _ in range(1000)]
    may_end.set()
    assert await first is CONVERGED
    assert others == [None] * 1000
    assert passes == 2


async def test_a_lease_that_nobody_released_ends_by_itself() -> None:
    documents, clock = FakeDocuments(), FakeClock()

    async def dies() -> Outcome:
        raise asyncio.CancelledError

    async def slow() -> Outcome:
        return CONVERGED

    documents_before = dict(documents.stored)
    try:
        await in_turn(documents, clock, "hub", dies)
    except asyncio.CancelledError:
        assert documents.stored != documents_before
    await documents.put("turns/hub/lease", b'{"until":"2026-01-01T03:00:59Z"}')
    assert await in_turn(documents, clock, "hub", slow) is None
    clock.at += LEASE + timedelta(seconds=1)
    assert await in_turn(documents, clock, "hub", slow) is CONVERGED


async def test_a_torn_lease_does_not_block_for_ever() -> None:
    documents, clock = FakeDocuments(), FakeClock()

    async def slow() -> Outcome:
        return CONVERGED

    await documents.put("turns/hub/lease", b"\x00torn")
    assert await in_turn(documents, clock, "hub", slow) is CONVERGED
