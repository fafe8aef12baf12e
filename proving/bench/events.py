"""Case 3: an event among many topologies, and a thousand events for one. Queue and Azure are in memory, storage is real."""

import asyncio
import tempfile
from collections.abc import AsyncIterator

from function_app.domain.base.errors import Unavailable
from function_app.reconcile.store import keys
from function_app.reconcile.use_cases import UseCases
from proving.bench.samples import Case, ms
from proving.bench.still import NETWORK, App, still_app

AMONG = (1, 10, 100, 1000)
WARM = 3
"""Events to an app that has just looked at one, for each of a new app."""
BURST = 1000
SENDERS, READERS = 16, 12
"""Events under way; wake-ups under way, which is what host.json lets one instance take."""
BURSTS_MAX = 3


def _event(topology: str) -> dict[str, str]:
    return {"subject": f"{NETWORK.format(topology)}/virtualHubs/rs/bgpConnections/any"}


async def event(storage: str, samples: int) -> AsyncIterator[Case]:
    """Floor: one list, and a read of the document concerned."""
    for topologies in AMONG:
        first, again = (Case(f"event among {topologies:,}, {storage}, {kind}") for kind in ("a new app", "again"))
        names = [f"t-{i}" for i in range(topologies)]
        with tempfile.TemporaryDirectory() as directory:
            async with still_app(directory, storage) as app:
                for number in range(max(samples // WARM, 1)):
                    await app.store(names, remark=str(number))
                    now = app.fresh()
                    for case in (first, *(again,) * WARM):
                        case.floor.append(await ms(_list_and_load(app, names[-1])))
                        case.ours.append(await ms(now.wake_for(_event(names[-1]))))
        yield first
        yield again


async def _list_and_load(app: App, name: str) -> None:
    await app.ports.documents.keys(keys.TOPOLOGIES)
    await app.ports.documents.load(keys.topology(name))


async def burst(storage: str, samples: int) -> AsyncIterator[Case]:
    """Floor: two passes, and what two in a row with nothing beside them call the storage for."""
    of = f"{BURST:,} events for one topology, {storage}"
    passes, calls, took = Case(f"{of}: slow passes", "passes"), Case(f"{of}: calls of the storage", "calls"), Case(of)
    with tempfile.TemporaryDirectory() as directory:
        async with still_app(directory, storage) as app:
            await app.store(["t-0"])
            now = app.fresh()
            await _twice(now)  # starts and reads the queries of routes, which are then good for a while
            for _ in range(min(samples, BURSTS_MAX)):
                for work, kind in ((_twice(now), "floor"), (_many(app, now), "ours")):
                    app.calls.clear()
                    app.azure.reads = 0
                    getattr(took, kind).append(await ms(work))
                    getattr(calls, kind).append(app.calls.total())
                    getattr(passes, kind).append(app.azure.reads)
    for case in (passes, calls, took):
        yield case


async def _twice(now: UseCases) -> None:
    for _ in range(2):
        await now.look("t-0", "bench")


async def _many(app: App, now: UseCases) -> None:
    """Until the last wake-up is dealt with."""
    left = iter(range(BURST))

    async def send() -> None:
        for _ in left:
            await now.wake_for(_event("t-0"))

    readers = [asyncio.create_task(_read(app, now)) for _ in range(READERS)]
    await asyncio.gather(*(send() for _ in range(SENDERS)))
    await app.due.join()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def _read(app: App, now: UseCases) -> None:
    """As the queue's trigger does; a pass that fails is woken again."""
    while True:
        name = await app.due.get()
        try:
            await now.look(name, "wake-up")
        except Unavailable:
            app.due.put_nowait(name)
        finally:
            app.due.task_done()
