"""Leases: the others leave work to whoever is at it, and none waits for one that is gone."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from function_app.domain.base.errors import Unavailable
from function_app.reconcile.passes.leases import renewed
from function_app.reconcile.ports import Ports
from tests.builders import topology
from tests.fakes import FakeClock, FakeDocuments, FakeWorld, make_ports

KEY = "fences/hub/fw/nva-a"
LASTS = timedelta(seconds=10)
BLINK = timedelta(milliseconds=30)
PATIENCE = 5.0


class Counted(FakeDocuments):
    """Sets `enough` once `wanted` saves were called; the next `fails` of them fail."""

    def __init__(self) -> None:
        super().__init__()
        self.saves = 0
        self.fails = 0
        self.enough = asyncio.Event()
        self.wanted = 0

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        self.saves += 1
        if self.saves >= self.wanted:
            self.enough.set()
        if self.fails:
            self.fails -= 1
            raise Unavailable("storage answers 503")
        return await super().save(key, body, etag)


@dataclass
class Scene:
    documents: Counted = field(default_factory=Counted)
    clock: FakeClock = field(default_factory=FakeClock)

    @property
    def ports(self) -> Ports:
        return make_ports(FakeWorld(topology()), documents=self.documents, clock=self.clock)

    async def may(self, work: str) -> bool:
        """Whether another pass would be let at it now."""
        async with renewed(self.ports, KEY, LASTS, work) as ours:
            return ours


async def test_others_leave_the_same_work_to_whoever_is_at_it() -> None:
    scene = Scene()
    async with renewed(scene.ports, KEY, LASTS, "fence at epoch 4") as ours:
        assert ours
        assert not await scene.may("fence at epoch 4")
    assert await scene.may("fence at epoch 4")


async def test_other_work_takes_over_at_once() -> None:
    scene = Scene()
    async with renewed(scene.ports, KEY, LASTS, "fence at epoch 4"):
        assert await scene.may("lift at epoch 5")


async def test_who_was_taken_over_ends_no_other_turn() -> None:
    scene = Scene()
    async with renewed(scene.ports, KEY, LASTS, "fence at epoch 4"):
        newer = renewed(scene.ports, KEY, LASTS, "lift at epoch 5")
        assert await newer.__aenter__()
    assert not await scene.may("lift at epoch 5")
    await newer.__aexit__(None, None, None)
    assert await scene.may("lift at epoch 5")


async def test_it_is_renewed_for_as_long_as_the_work_takes() -> None:
    scene = Scene()
    scene.documents.wanted = 4
    async with renewed(scene.ports, KEY, BLINK, "fence at epoch 4"):
        async with asyncio.timeout(PATIENCE):
            await scene.documents.enough.wait()
        scene.clock.at += BLINK * 0.9
        before = scene.documents.saves
        scene.documents.wanted, _ = before + 1, scene.documents.enough.clear()
        async with asyncio.timeout(PATIENCE):
            await scene.documents.enough.wait()
        scene.clock.at += BLINK * 0.9
        async with renewed(scene.ports, KEY, BLINK, "fence at epoch 4") as another:
            assert not another


async def test_a_storage_that_fails_for_a_while_is_called_again() -> None:
    scene = Scene()
    async with renewed(scene.ports, KEY, BLINK, "fence at epoch 4"):
        scene.documents.fails, scene.documents.wanted = 2, scene.documents.saves + 4
        scene.documents.enough.clear()
        async with asyncio.timeout(PATIENCE):
            await scene.documents.enough.wait()
    assert await scene.may("fence at epoch 4")


async def test_who_died_in_the_middle_is_waited_for_no_longer_than_the_lease_lasts() -> None:
    scene = Scene()
    dead = renewed(scene.ports, KEY, LASTS, "fence at epoch 4")
    await dead.__aenter__()
    scene.clock.at += LASTS - timedelta(seconds=1)
    assert not await scene.may("fence at epoch 4")
    scene.clock.at += timedelta(seconds=1)
    assert await scene.may("fence at epoch 4")
    await dead.__aexit__(None, None, None)


async def test_a_lease_that_cannot_be_given_back_spoils_nothing() -> None:
    scene = Scene()
    async with renewed(scene.ports, KEY, LASTS, "fence at epoch 4") as ours:
        scene.documents.fails = 1
    assert ours
    assert scene.documents.fails == 0


async def test_a_lease_by_a_clock_that_is_ahead_is_not_believed() -> None:
    scene = Scene()
    await scene.documents.put(KEY, b'{"until":"2026-01-01T03:09:10Z","work":"fence at epoch 4"}')
    assert await scene.may("fence at epoch 4")
