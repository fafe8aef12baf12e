"""One history on the wire: the world comes up, faults befall it, it heals and must come to rest.

Liveness as in `proving.storm.history`: L1 one verified holder, L4 every fence released, L6 learning ends, and in some
histories L2: another holder once this one has died. The bound is generous, for the machine has other things to do.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from function_app.domain.service.record import Phase
from proving.storm.checks import Violation
from proving.storm.faults import Plan
from proving.storm.history import Result
from proving.storm.wire.happenings import Happenings
from proving.storm.wire.hosts import Adapters
from proving.storm.wire.loop import WatchedLoop
from proving.storm.wire.world import FIRST_EPOCH, World

LIVE_SECONDS = 40.0
"""Real ones, from healing to rest. It takes one or two, on a machine that has nothing else to do."""
CLOSING_SECONDS = 10.0
CALM_SECONDS = 0.3
"""A state of rest must last this long to count."""
LOOK_SECONDS = 0.1
"""How often is looked for what time alone changes."""


def run(plan: Plan, trace: bool = False, adapters: Adapters | None = None) -> Result:
    """The whole history, in an event loop and a directory of its own."""
    # What the product logs is for operators; without a handler Python would print it among the storm's results.
    logging.getLogger().addHandler(logging.NullHandler())
    with (
        tempfile.TemporaryDirectory(prefix="hopkeeper-wire-", ignore_cleanup_errors=True) as directory,
        asyncio.Runner(loop_factory=WatchedLoop) as runner,
    ):
        return runner.run(_alone(plan, Path(directory), adapters or Adapters(), trace))


async def _alone(plan: Plan, directory: Path, adapters: Adapters, trace: bool) -> Result:
    """Leaves no connection behind: one that was accepted while its listener closed ends when its client has gone."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    before = loop.sockets
    result = await _run(plan, directory, adapters, trace)
    await loop.wait_for_sockets(before, CLOSING_SECONDS)
    return result


async def _run(plan: Plan, directory: Path, adapters: Adapters, trace: bool) -> Result:
    async with World.running(plan, directory, adapters, trace) as world:
        async with _watched(world):
            not_live = await _live(world, Happenings(world))
        checks = world.checks
        return Result(
            plan=plan,
            events=checks.events,
            violation=checks.violation,
            not_live=not_live if checks.violation is None else None,
            counted=(),
            openings=checks.record.epoch - FIRST_EPOCH if checks.record and plan.begins == "stable" else 0,
            story=tuple(world.story or ()),
        )


@asynccontextmanager
async def _watched(world: World) -> AsyncIterator[None]:
    """The laws hold from here on, and are not looked at while everything is taken down."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    world.checks.begin()
    loop.look = world.checks.look
    loop.set_exception_handler(lambda _, context: world.checks.broken("crash", _told(context)))
    try:
        yield
    finally:
        loop.look = None
        loop.set_exception_handler(None)


def _told(context: Mapping[str, Any]) -> str:
    """What asyncio says of something that died and nobody asked about."""
    return f"{context.get('message')}: {context.get('exception')!r} ({context.get('task') or context.get('handle')})"


async def _live(world: World, happenings: Happenings) -> Violation | None:
    """Faults, healing, rest; stops at a violation. What was missing at the end, and whose law that is."""
    checks, plan = world.checks, world.plan
    async with _befallen(happenings, plan):
        await _until(world, lambda: checks.now() >= plan.heal_at, plan.heal_at)
    if checks.violation is None:
        await happenings.heal()
        if missing := await _settles(world, happenings):
            return missing
        if plan.last_crash and checks.violation is None:
            return await _fails_over(world)
    return None


@asynccontextmanager
async def _befallen(happenings: Happenings, plan: Plan) -> AsyncIterator[None]:
    """Faults happen inside; what is not over at the end is broken off. Raises what went wrong in the world itself."""
    tasks = [asyncio.create_task(happenings.do(fault)) for fault in plan.faults]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _until(world: World, holds: Callable[[], bool], seconds: float) -> bool:
    """Waits for a condition, or a violation; False after `seconds` without either."""
    checks = world.checks
    ends = checks.now() + seconds
    while not holds() and checks.violation is None:
        if checks.now() >= ends:
            return False
        checks.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK_SECONDS, max(ends - checks.now(), 0.001))):
                await checks.changed.wait()
    return True


async def _settles(world: World, happenings: Happenings) -> Violation | None:
    began = world.checks.now()
    calm_since: float | None = None

    def at_rest() -> bool:
        nonlocal calm_since
        happenings.take_back()
        if _missing(world) is not None:
            calm_since = None
            return False
        calm_since = world.checks.now() if calm_since is None else calm_since
        return world.checks.now() - calm_since >= CALM_SECONDS

    if await _until(world, at_rest, LIVE_SECONDS):
        return None
    law, missing = _missing(world) or ("L1", "it does not stay at rest")
    return Violation(law, world.checks.now() - began, missing)


def _missing(world: World) -> tuple[str, str] | None:
    """What keeps the service from being at rest, and whose law that is: one holder, nothing fenced or owed."""
    checks = world.checks
    record = checks.record
    if record is None:
        return "L6", "there is no record"
    if record.phase is not Phase.STABLE:
        return "L6" if record.phase is Phase.LEARN else "L1", f"the record is {record.phase}"
    if list(checks.will) != [record.target]:
        return "L1", f"{list(checks.will)} answer 200, the record's holder is {record.target}"
    if record.may_serve != {record.target} or record.fenced or record.owed:
        held = f"may_serve {sorted(record.may_serve)}, fenced {sorted(record.fenced)}, owed {sorted(record.owed)}"
        return "L4", held
    down = [name for name, state in checks.data.items() if state != "None"]
    return ("L4", f"{down} are not back in the pool") if down else None


async def _fails_over(world: World) -> Violation | None:
    """L2: the holder dies once all is at rest; another one must be eligible in time."""
    holder = world.checks.will[0]
    world.say("! %s dies", holder)
    await world.nvas[holder].end()
    if await _until(world, lambda: bool(world.checks.eligible), LIVE_SECONDS):
        return None
    return Violation("L2", LIVE_SECONDS, f"nobody serves {LIVE_SECONDS:.0f} s after {holder} died")
