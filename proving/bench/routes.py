"""Case 5: how long a slow pass over many routes holds the event loop, which failovers of the same process share."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from itertools import pairwise

from function_app.reconcile.use_cases import UseCases
from proving.bench.samples import Case
from proving.bench.still import Azure, still_app

PEERS, PREFIXES = 8, 900
TICK_SECONDS = 0.001
CPU = "ms of CPU"


async def routes(storage: str, samples: int) -> AsyncIterator[Case]:
    """Floor: the same with one prefix a peer."""
    of = f"slow pass over {PEERS} peers x {PREFIXES} prefixes, {storage}"
    held, lasts = Case(f"{of}: the loop is held", CPU), Case(of, CPU)
    with tempfile.TemporaryDirectory() as big, tempfile.TemporaryDirectory() as small:
        async with (
            still_app(big, storage, Azure(PEERS, PREFIXES)) as many,
            still_app(small, storage, Azure(PEERS)) as few,
        ):
            apps = [(many.fresh(), "ours"), (few.fresh(), "floor")]
            for app, (now, _) in zip((many, few), apps, strict=True):
                await app.store(["t-0"])
                while await _waits(now):
                    pass
            for _ in range(samples):
                for now, kind in apps:
                    began = time.process_time()
                    longest = await _longest(now)
                    getattr(lasts, kind).append((time.process_time() - began) * 1000)
                    getattr(held, kind).append(longest)
    yield held
    yield lasts


async def _waits(now: UseCases) -> bool:
    """Whether a slow pass left answers to a later one."""
    await now.look("t-0", "bench")
    look = (await now.status("t-0")).last_look
    return look is None or look.routes.under_way > 0


async def _longest(now: UseCases) -> float:
    """Of a slow pass, the most CPU time (ms) between two turns of a ticking task: for that long nothing else could run."""
    turns: list[float] = []

    async def tick() -> None:
        while True:
            turns.append(time.thread_time() * 1000)
            await asyncio.sleep(TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await now.look("t-0", "bench")
    await asyncio.sleep(2 * TICK_SECONDS)
    ticking.cancel()
    return max(after - before for before, after in pairwise(turns))
