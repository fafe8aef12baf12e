"""The acts of the demo: each breaks something that serves, and measures what happened until traffic flowed again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from lab.stack import DATA, NVAS, PROBE, SERVICE, Stack
from lab.traffic import ProbeWatch, Traffic
from tools.processes import ToolError

type Say = Callable[[str], None]

WITHIN = 40.0
"""Seconds that anything may take before the demo calls it failed."""
HELD_FOR = 3.0
"""Seconds for which the third act looks on while nothing can be proven."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds after the fault: the report's arrival, the decision, the proof, the promotion, the first packet."""

    detected: float
    decided: float
    fenced: float
    commanded: float
    first_packet: float


@dataclass(frozen=True, slots=True)
class Act:
    """What one act measured."""

    name: str
    outcome: str
    outage_seconds: float
    phases: Phases
    two_serving_moments: int
    proof: str
    held_seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Stage:
    """What every act plays on."""

    stack: Stack
    traffic: Traffic
    watch: ProbeWatch
    say: Say

    @classmethod
    def over(cls, stack: Stack, say: Say = lambda _: None) -> Self:
        """Which watches the probe of every NVA."""
        probes = {name: (stack.nva_address(name), PROBE, f"/probe/{SERVICE}") for name in stack.nvas}
        return cls(stack, Traffic(), ProbeWatch(probes), say)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        """At rest to begin with, packets under way and probes watched all the while."""
        self.watch.start()
        try:
            await self.traffic.start(self.stack.frontend, DATA)
            await self.at_rest()
            yield self
        finally:
            await self.traffic.stop()
            await self.watch.stop()

    async def until(
        self, what: str, holds: Callable[[Mapping[str, Any]], bool], within: float = WITHIN
    ) -> Mapping[str, Any]:
        """The status once `holds`; requests it from the app ten times a second. Raises ToolError with the last status."""
        end = time.monotonic() + within
        status: Mapping[str, Any] = {}
        while time.monotonic() < end:
            status = await self.stack.status()
            if holds(status):
                return status
            await asyncio.sleep(0.1)
        raise ToolError(f"not within {within:g} s: {what}\n{status}")

    async def at_rest(self) -> str:
        """Waits until one member serves, verified, nothing is owed, and both announce; gives its name."""
        status = await self.until("everything at rest", at_rest)
        return str(_service(status)["holder"])


def at_rest(status: Mapping[str, Any]) -> bool:
    """Peered, announced, verified on both instances, one holder, no fence left."""
    service, last = _service(status), status["lastLook"]
    if service["phase"] != "stable" or service["mayServe"] != [service["holder"]] or service["owed"] or last is None:
        return False
    members = last["members"]
    sessions = all(m.get("ready") for m in members.values()) and len(members) == len(NVAS)
    announcing = {c["speaker"] for c in last["routes"]["checks"] if c["verified"]}
    return bool(sessions and last["routes"]["verified"] and announcing == set(NVAS))


def _service(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(s for s in status["services"] if s["service"] == SERVICE)
    return found


async def data_path_dies(stage: Stage) -> Act:
    """Act 1: the echo dies under a living agent, which reports it and acknowledges its fence (F1)."""
    holder = await stage.at_rest()
    stage.say(f"{holder} serves; its data path is killed, its agent lives")
    fault = time.time()
    stage.stack.kill_data_path(holder)
    act = await _moved(stage, "the serving NVA's data path dies", holder, fault)
    stage.stack.start_data_path(holder)
    await stage.at_rest()
    return act


async def whole_nva_dies(stage: Stage) -> Act:
    """Act 2: kill -9 for everything on the serving NVA; its peer reports, the load balancer fences it (F2)."""
    holder = await stage.at_rest()
    fault = time.time()
    killed = stage.stack.kill_nva(holder)
    stage.say(f"{holder} is killed with -9: {killed} processes, no survivor")
    act = await _moved(stage, "the whole serving NVA is killed", holder, fault)
    await _returns(stage, holder)
    return act


async def management_api_refuses(stage: Stage) -> Act:
    """Act 3: the same while ARM refuses: nothing can be proven, so nothing moves, until ARM answers again."""
    holder = await stage.at_rest()
    await stage.stack.tell_simulator("POST", "/simulator/faults", {"arm": "refuse"})
    fault = time.time()
    killed = stage.stack.kill_nva(holder)
    stage.say(f"ARM refuses, and {holder} is killed with -9 ({killed} processes)")
    reason = await _held(stage, fault)
    stage.say(f"held: {reason}")
    await asyncio.sleep(HELD_FOR)
    other = _other(holder)
    if stage.traffic.first_from(other, fault) is not None:
        raise ToolError(f"{other} got traffic although nothing was proven")
    await stage.stack.tell_simulator("POST", "/simulator/faults", {"arm": "ok"})
    answered = time.time()
    stage.say("ARM answers again")
    act = await _moved(stage, "the same while the management API refuses", holder, fault, held=answered - fault)
    await _returns(stage, holder)
    return act


async def _held(stage: Stage, fault: float) -> str:
    """Waits for the journal to say that the failover is held, and gives the reason."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        for entry in stage.stack.history():
            found = [r for r in entry["reasons"] if "no proof that" in r]
            if found and _stamp(entry["ended"]) > fault:
                return str(found[0])
        await asyncio.sleep(0.1)
    raise ToolError("the failover was not held although nothing could be proven")


async def _moved(stage: Stage, name: str, holder: str, fault: float, held: float = 0.0) -> Act:
    """Waits for the first packet from the other NVA and reads the phases from the journal."""
    other = _other(holder)
    end = time.monotonic() + WITHIN
    while (first := stage.traffic.first_from(other, fault)) is None:
        if time.monotonic() > end:
            raise ToolError(f"{other} did not take over; the journal ends with {stage.stack.history()[-1:]}")
        await asyncio.sleep(0.02)
    last = stage.traffic.last_from(holder, first) or fault
    stage.say(f"{other} carries the traffic: {first - max(last, fault):.2f} s without")
    phases, proof = await _phases(stage, fault, first)
    moments = stage.watch.moments(fault, time.time())
    return Act(name, "moved", round(first - max(last, fault), 3), phases, moments, proof, round(held, 3))


async def _phases(stage: Stage, fault: float, first: float) -> tuple[Phases, str]:
    """From the journal: the pass that opened the operation, and the step that granted it."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        steps = _steps(stage.stack.history(), fault)
        opened = [each for each in steps if each[1]["phase"].endswith("→ fencing")]
        granted = [s for _, s in steps if s["phase"] == "fencing → granted" and "performed" in s]
        if opened and granted:
            (entry, step), grant = opened[0], granted[0]
            stamps = (entry["woken"], step["at"], grant["at"], grant["performed"])
            return _phases_of(fault, [*map(_stamp, stamps), first]), str(grant["because"][0])
        await asyncio.sleep(0.1)
    raise ToolError("the journal does not say how traffic moved")


def _steps(history: Iterable[dict[str, Any]], since: float) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every step of the journal since then, with its entry."""
    entries = [entry for entry in history if _stamp(entry["ended"]) > since]
    return [(entry, step) for entry in entries for step in entry["steps"]]


def _phases_of(fault: float, moments: Sequence[float]) -> Phases:
    return Phases(*(round(moment - fault, 3) for moment in moments))


async def _returns(stage: Stage, name: str) -> None:
    """Boots a dead NVA again: it acknowledges, its fence is lifted, and it stays on standby."""
    stage.say(f"{name} boots again")
    await stage.stack.start_nva(name)
    holder = await stage.at_rest()
    if holder == name:
        raise ToolError(f"{name} took its role back although preempt is never")
    stage.say(f"{name} acknowledged, is lifted and stays standby; {holder} serves on")


def _other(holder: str) -> str:
    return next(name for name in NVAS if name != holder)


def _stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


ACTS = (data_path_dies, whole_nva_dies, management_api_refuses)
