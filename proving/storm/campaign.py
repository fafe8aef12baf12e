"""Runs many histories in several processes and adds them up. A history's own thread and time stay its own.

Results do not depend on how many processes there are, nor on the order in which they finish.
"""

import gc
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext

from proving.storm.faults import Plan
from proving.storm.profiles import PROFILES, run

KEPT_MAX = 20
"""Failures kept for shrinking; beyond it they are only counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A history that broke a law. `safety` says whether it was a safety law or liveness."""

    plan: Plan
    law: str
    text: str
    safety: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some histories of one profile: a process runs them, then reports and collects what they left behind."""

    profile: str
    seeds: range


@dataclass(slots=True)
class Tally:
    """What a number of histories came to."""

    histories: int = 0
    events: int = 0
    violations: int = 0
    not_live: int = 0
    seconds: float = 0.0
    """Spent in histories, added up over the processes."""
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.histories += other.histories
        self.events += other.events
        self.violations += other.violations
        self.not_live += other.not_live
        self.seconds += other.seconds
        self.failures += other.failures[: max(KEPT_MAX - len(self.failures), 0)]


def law_broken(plan: Plan) -> str | None:
    """The law that the plan breaks, None if none. An error in the world itself is a law as well: the storm is wrong."""
    failure = _outcome(plan)[1]
    return failure.law if failure else None


def _outcome(plan: Plan) -> tuple[int, Failure | None]:
    """How many events the history had, and how it failed."""
    try:
        result = run(plan)
    except Exception as error:
        return 0, Failure(plan, "world", f"the simulated world failed: {error!r}", safety=True)
    broken = result.violation or result.not_live
    if broken is None:
        return result.events, None
    return result.events, Failure(plan, broken.law, broken.text, result.violation is not None)


def run_chunk(chunk: Chunk) -> tuple[str, Tally]:
    """Runs its histories here and now."""
    tally, plan_of = Tally(), PROFILES[chunk.profile].plan
    began = time.perf_counter()
    for seed in chunk.seeds:
        events, failure = _outcome(plan_of(seed))
        tally.histories += 1
        tally.events += events
        if failure is not None:
            tally.violations += failure.safety
            tally.not_live += not failure.safety
            tally.failures.append(failure)
    gc.collect()
    tally.seconds = time.perf_counter() - began
    return chunk.profile, tally


def _begin_process() -> None:
    """Histories are full of cycles and short: what they leave is collected once a chunk, not all the time. What the product
    logs is for operators; without a handler Python would print it between the lines of progress."""
    gc.disable()
    logging.getLogger().addHandler(logging.NullHandler())


def campaign(seeds: dict[str, range], jobs: int) -> dict[str, Tally]:
    """Runs these seeds of each profile in `jobs` processes, with progress on stderr, and what breaks as it breaks."""
    tallies = {profile: Tally() for profile in seeds}
    chunks = [
        Chunk(profile, of_profile[first : first + PROFILES[profile].chunk])
        for profile, of_profile in seeds.items()
        for first in range(0, len(of_profile), PROFILES[profile].chunk)
    ]
    wanted = sum(map(len, seeds.values()))
    began = time.perf_counter()
    for done, (profile, tally) in enumerate(_results(chunks, jobs), 1):
        tallies[profile].add(tally)
        for failure in tally.failures:
            print(f"\n{profile} {failure.plan.seed}: {failure.law}: {failure.text}", file=sys.stderr, flush=True)
        if done % 25 == 0 or done == len(chunks):
            _progress(tallies, wanted, time.perf_counter() - began)
    return tallies


def _results(chunks: list[Chunk], jobs: int) -> Iterable[tuple[str, Tally]]:
    if jobs <= 1:
        yield from map(run_chunk, chunks)
        return
    context: BaseContext = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_begin_process) as pool:
        yield from pool.imap_unordered(run_chunk, chunks)


def _progress(tallies: dict[str, Tally], wanted: int, seconds: float) -> None:
    histories = sum(tally.histories for tally in tallies.values())
    events = sum(tally.events for tally in tallies.values())
    broken = sum(tally.violations + tally.not_live for tally in tallies.values())
    line = f"{histories:,} of {wanted:,} histories, {events:,} events, {events / seconds:,.0f}/s, {broken} broken"
    print(f"\r{line:<90}", end="\n" if histories == wanted else "", file=sys.stderr, flush=True)
