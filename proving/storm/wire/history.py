"""One history on the wire: the world comes up, faults are injected, it heals and must come to rest.

Liveness as in `proving.storm.history`, with the same bounds: L1 one verified holder, L4 every fence released, L6 learning
ends, and in some histories L2: another holder once this one has died.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from function_app.domain.service.bounds import Probe, worst
from function_app.domain.service.guards import spacing_after
from function_app.domain.service.record import Phase
from lab.kit.virtual import VirtualLoop, virtual_loop
from proving.stories.host import Adapt
from proving.storm.checks import Violation
from proving.storm.faults import Plan
from proving.storm.history import CALM_SECONDS, PATIENCE_SECONDS, RELEASE_SECONDS, Result
from proving.storm.wire.injector import Injector
from proving.storm.wire.world import FIRST_EPOCH, World, as_is, narrator_for

LOOK_SECONDS = 1.0
"""How often is looked for what time alone changes."""


def run(plan: Plan, trace: bool = False, adapt: Adapt = as_is) -> Result:
    """The whole history, in an event loop and a directory of its own. `adapt` puts other adapters into the app."""
    # What the product logs is for operators; without a handler Python would print it among the storm's results.
    logging.getLogger().addHandler(logging.NullHandler())
    with (
        tempfile.TemporaryDirectory(prefix="hopkeeper-wire-") as directory,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        return runner.run(_run(plan, Path(directory), adapt, trace))


async def _run(plan: Plan, directory: Path, adapt: Adapt, trace: bool) -> Result:
    narrator = narrator_for(trace)
    async with World.running(plan, directory, adapt, narrator) as world:
        async with _watched(world):
            not_live = await _live(world, Injector(world))
        checks = world.checks
        return Result(
            plan=plan,
            events=checks.events,
            violation=checks.violation,
            not_live=not_live if checks.violation is None else None,
            counted=(),
            openings=checks.record.epoch - FIRST_EPOCH if checks.record and plan.begins == "stable" else 0,
            story=tuple(narrator.lines),
        )


@asynccontextmanager
async def _watched(world: World) -> AsyncIterator[None]:
    """The laws hold from here on, and are not looked at while everything is taken down."""
    loop = virtual_loop()
    loop.watch = world.checks.look
    loop.set_exception_handler(lambda _, context: world.checks.broken("crash", _death(context)))
    try:
        yield
    finally:
        loop.watch = None
        loop.set_exception_handler(None)


def _death(context: Mapping[str, Any]) -> str:
    """What asyncio reports of a task that died and that nothing awaited."""
    return f"{context.get('message')}: {context.get('exception')!r} ({context.get('task') or context.get('handle')})"


async def _live(world: World, injector: Injector) -> Violation | None:
    """Faults, healing, rest; stops at a violation. What was missing at the end, and whose law that is."""
    checks, plan = world.checks, world.plan
    async with _injected(injector, plan):
        await _until(world, lambda: checks.now() >= plan.heal_at, plan.heal_at)
    if checks.violation is None:
        await injector.heal()
        if missing := await _settles(world, injector):
            return missing
        if plan.last_crash and checks.violation is None:
            return await _fails_over(world)
    return None


@asynccontextmanager
async def _injected(injector: Injector, plan: Plan) -> AsyncIterator[None]:
    """Faults happen inside; what is not over at the end is broken off. Raises what went wrong in the world itself."""
    tasks = [asyncio.create_task(injector.inject(fault)) for fault in plan.faults]
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


async def _settles(world: World, injector: Injector) -> Violation | None:
    began, timing = world.checks.now(), world.stage.topology.timing
    bound = (worst(timing, Probe()) + timing.learn_for + timing.sweep).total_seconds()
    calm_since: float | None = None

    def at_rest() -> bool:
        nonlocal calm_since
        injector.take_back()
        if _missing(world) is not None:
            calm_since = None
            return False
        calm_since = world.checks.now() if calm_since is None else calm_since
        return world.checks.now() - calm_since >= CALM_SECONDS

    if await _until(world, at_rest, max(bound, RELEASE_SECONDS) + PATIENCE_SECONDS):
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
    """L2: the holder dies once all is at rest; another one must be eligible within the configuration's bound."""
    record, timing, holder = world.checks.record, world.stage.topology.timing, world.checks.will[0]
    spacing = spacing_after(record.spacing, timing).total_seconds() if record and record.spacing else 0.0
    bound = worst(timing, Probe()).total_seconds() + spacing
    world.say("!", f"{holder} dies")
    await world.crash(holder)
    if await _until(world, lambda: bool(world.checks.eligible), bound):
        return None
    return Violation("L2", bound, f"no member serves {bound:.0f} s after {holder} died")
