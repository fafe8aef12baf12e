"""One run: a topology comes to rest, something breaks, and what becomes of new flows is followed until the end.

The same seed gives the same run. Without Hopkeeper every instance of the app is gone when it breaks: the topology is as
Hopkeeper left it, and agents, load balancers and Route Servers go on by themselves.
"""

import asyncio
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from function_app.domain.service.bounds import Probe
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.record import Phase
from function_app.domain.topology.model import Topology
from function_app.reconcile.documents.event import Event
from lab.kit.virtual import BEGINNING, VirtualClock, VirtualLoop, virtual_loop
from proving.gameday.acts import app_is_gone
from proving.gameday.faults import ANOTHERS_WRITE, named
from proving.gameday.flows import PROGRAMMING_SECONDS, Flows, Moment
from proving.stories.narrator import Narrator
from proving.stories.seed import Seeding
from proving.stories.stage import Stage, Story, StoryFailed

LOOK_SECONDS = 0.1
REST_WITHIN_SECONDS = 1200.0
QUIET_SECONDS = 35.0
"""At rest, before anything breaks: longer than the damping of routes."""
PHASE_SECONDS = 60.0
"""A fault begins anywhere within it, as the seed draws: against the probes' and the sweep's beat."""
SECONDS_LEAST, MARGIN_SECONDS = 300.0, 30.0
"""How long a run goes on after its fault, and beyond the longest bound."""
BETWEEN_SECONDS = 20.0
"""From the first fault of a pair to the second."""


class NotAtRest(Exception):
    """The topology does not come to rest over the simulated Azure; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Run:
    """Times are seconds after the (last) fault. `courses`: by flow each change; `lines`: the narrative, from the fault on."""

    courses: Mapping[str, tuple[tuple[float, Moment], ...]]
    events: tuple[tuple[float, Event], ...]
    lines: tuple[str, ...]
    seconds: float
    broken_law: str = ""


@dataclass
class Published:
    """The app's events, in place of a topic."""

    publishes: ClassVar[bool] = True
    events: list[Event] = field(default_factory=list)

    async def publish(self, event: Event) -> None:
        self.events.append(event)


def run(file: Path, name: str, seed: int, with_app: bool) -> Run:
    """Plays a fault, or two joined by a plus, on a loop of its own. Raises NotAtRest."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_run(file, name, seed, with_app))


def lasts(topology: Topology) -> float:
    """How long a run goes on after its fault."""
    found = [b.total for s in topology.services for b in kind_of(s).bounds(s, topology, Probe())]
    return max(SECONDS_LEAST, max(found, default=timedelta(0)).total_seconds() + MARGIN_SECONDS)


async def _run(file: Path, name: str, seed: int, with_app: bool) -> Run:
    narrator, published = Narrator(VirtualClock(virtual_loop()).now), Published()
    story = Story(
        name,
        "",
        str(file.resolve()),
        (),
        seeding=Seeding(peered=True),
        adapt=lambda ports, azure: replace(ports, events_out=published),
    )
    with tempfile.TemporaryDirectory(prefix="hopkeeper-gameday-") as directory:
        async with Stage.set_for(story, narrator, Path(directory)) as stage:
            drawn = random.Random(f"{seed} {name}")  # noqa: S311 - a seed replays it
            programming = drawn.uniform(*PROGRAMMING_SECONDS)
            await _come_to_rest(stage, drawn.uniform(0.0, PHASE_SECONDS))
            flows = Flows(stage, programming)
            if lost := [flow for flow, moment in flows.look().items() if moment.lost]:
                raise NotAtRest(f"new flows of {', '.join(lost)} reach no member before anything breaks")
            return await _befallen(stage, name, flows, published if with_app else None)


async def _come_to_rest(stage: Stage, phase: float) -> None:
    await stage.apply()
    began = virtual_loop().time()
    while missing := _missing(stage):
        if virtual_loop().time() - began > REST_WITHIN_SECONDS:
            raise NotAtRest(f"not at rest within {REST_WITHIN_SECONDS:g} s: {missing}")
        await asyncio.sleep(1.0)
        stage.check()
    await asyncio.sleep(QUIET_SECONDS + phase)


def _missing(stage: Stage) -> str:
    """What keeps it from rest; empty where it is."""
    records = {service.name: stage.record(service.name) for service in stage.topology.services}
    moving = [name for name, found in records.items() if found is None or found.phase is not Phase.STABLE]
    if moving:
        return f"{', '.join(moving)} not stable"
    last = stage.last_look()
    if not last:
        return "no slow pass has ended"
    return "" if last["outcome"] == "converged" else "; ".join(last["reasons"]) or str(last["outcome"])


async def _befallen(stage: Stage, name: str, flows: Flows, published: Published | None) -> Run:
    """`published` None: without Hopkeeper."""
    lines = len(stage.narrator.lines)
    if published is None:
        await app_is_gone().do(stage)
    befalling = named(stage.topology, name)
    excused = any(fault.kind in ANOTHERS_WRITE for fault in befalling)
    seconds, breaking = lasts(stage.topology), []
    for fault in befalling:
        assert fault.act is not None
        began = virtual_loop().time()
        stage.narrator.act(fault.act.words)
        # a task, for what ends takes a moment, and flows are lost from the first
        breaking.append(asyncio.ensure_future(fault.act.do(stage)))
        await asyncio.sleep(0)
        ends = began + (seconds if fault is befalling[-1] else BETWEEN_SECONDS)
        courses, law = await _followed(stage, flows, ends, excused)
    await asyncio.gather(*breaking)
    stage.narrator.close()
    events = published.events if published is not None else []
    at = {event.id: (event.at - BEGINNING).total_seconds() - began for event in events}
    return Run(
        courses=courses,
        events=tuple((round(at[e.id], 1), e) for e in events if at[e.id] >= 0),
        lines=tuple(stage.narrator.lines[lines:]),
        seconds=seconds,
        broken_law=law,
    )


async def _followed(
    stage: Stage, flows: Flows, ends: float, excused: bool
) -> tuple[Mapping[str, tuple[tuple[float, Moment], ...]], str]:
    """Each flow's changes, and the law of stories that was broken, if one was."""
    courses: dict[str, list[tuple[float, Moment]]] = {}
    began = virtual_loop().time()
    while (now := virtual_loop().time()) < ends:
        for flow, moment in flows.look().items():
            course = courses.setdefault(flow, [])
            if not course or course[-1][1] != moment:
                course.append((round(now - began, 1), moment))
        try:
            if not excused:
                stage.check()
        except StoryFailed as failed:
            return _kept(courses), str(failed)
        await asyncio.sleep(LOOK_SECONDS)
    return _kept(courses), ""


def _kept(courses: Mapping[str, list[tuple[float, Moment]]]) -> Mapping[str, tuple[tuple[float, Moment], ...]]:
    return {flow: tuple(course) for flow, course in courses.items()}
