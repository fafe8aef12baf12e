"""What an app costs that has nothing to do: a day of a pair's sweeps over the simulated Azure, in virtual time.

Counts, which are the same in every run. The storage is in memory and counts its writes; ARM is the simulator, which logs
requests.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from function_app.reconcile.store import keys
from proving.bench.samples import Case
from proving.stories.catalogue import STORIES
from proving.stories.stage import Act, Stage, StoryFailed, play

STORY, UNTIL = "active-passive", "nva-a dies"
"""The pair with every setting by default, up to what befalls it."""
SETTLES, COUNTED = 1800, 3 * 3600
"""Seconds."""
A_DAY = 86400 / COUNTED
SWEEPS = 1440
OFTEN = 30
"""Seconds: the simulator keeps the requests of a while only."""
QUERIES = ("metrics:getBatch", "/query")
"""Requests to Azure Monitor, which have no share in ARM's tokens."""


async def rest(storage: str, samples: int) -> AsyncIterator[Case]:
    """Floor: the sweeps of a day. Over no storage but that in memory, and once: `samples` is not looked at."""
    counted = await asyncio.to_thread(a_day)
    for name in ("slow passes", "reads of ARM", "writes of ARM", "queries of Azure Monitor", "writes of the storage"):
        yield Case(f"a day at rest: {name}", "calls", [round(counted[name] * A_DAY)], [SWEEPS])


def a_day() -> Counter[str]:
    """What was counted in COUNTED seconds. Raises StoryFailed."""
    counted: Counter[str] = Counter()
    story = STORIES[STORY]
    acts = story.acts[: [UNTIL in act.words for act in story.acts].index(True)]

    async def count(stage: Stage) -> None:
        await asyncio.sleep(SETTLES)
        stage.documents.listeners.append(lambda key, body: counted.update(_written(key)))
        seen = stage.simulator.requests[-1].number
        for _ in range(COUNTED // OFTEN):
            await asyncio.sleep(OFTEN)
            counted.update(_kind(one.method, one.path) for one in stage.simulator.requests if one.number > seen)
            seen = stage.simulator.requests[-1].number

    if failure := play(replace(story, acts=(*acts, Act("a day at rest", count)))).failure:
        raise StoryFailed(failure)
    return counted


def _written(key: str) -> Iterator[str]:
    yield "writes of the storage"
    if key.startswith(keys.STATUSES):
        yield "slow passes"


def _kind(method: str, path: str) -> str:
    if path.endswith(QUERIES):
        return "queries of Azure Monitor"
    return "reads of ARM" if method == "GET" else "writes of ARM"
