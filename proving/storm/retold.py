"""Whether `hopkeeper explain` can answer for a history: every promotion and every hold in what the product filed.

An answer names the evidence (agent, peers, load balancer) of every member, its age, and why or which guard.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from function_app.reconcile.history import explain
from function_app.reconcile.ports import Stored
from function_app.reconcile.store import keys
from function_app.views.explain import explanation_lines
from lab.kit.documents import directly_below
from proving.storm.world import World

SOURCES = ("A ", "P ", "L ")
LITTLE = timedelta(milliseconds=1)
"""How long after something happened the question is asked."""


UNFINISHED = timedelta(seconds=60)
"""A history may end in the middle of its last failover: its pass has filed nothing yet."""


class Entry(msgspec.Struct, frozen=True):
    """What is needed of a journal entry to ask about it."""

    started: datetime
    looked: datetime
    outcome: str


class Filed:
    """The documents that a history left for people, to be read back."""

    def __init__(self, filed: dict[str, bytes]) -> None:
        self._filed = filed

    async def load(self, key: str) -> Stored | None:
        body = self._filed.get(key)
        return Stored(body, "") if body is not None else None

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        raise NotImplementedError("explaining writes nothing")

    async def put(self, key: str, body: bytes) -> None:
        raise NotImplementedError("explaining writes nothing")

    async def remove(self, key: str, etag: str) -> None:
        raise NotImplementedError("explaining writes nothing")

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(key for key in self._filed if key.startswith(prefix)))

    async def below(self, folder: str) -> tuple[str, ...]:
        return directly_below(folder, self._filed)

    async def versions(self, prefix: str) -> Mapping[str, str]:
        raise NotImplementedError("explaining reads what is filed, once")


def shortfalls(world: World) -> tuple[int, list[str]]:
    """How many moments were asked for, and what was wrong with the answers. The history must have been traced."""
    return asyncio.run(_shortfalls(world))


async def _shortfalls(world: World) -> tuple[int, list[str]]:
    documents = Filed(world.documents.filed or {})
    topology, service = world.topology.name, world.service.name
    wrong: list[str] = []
    promotions = [one for one in world.checks.promotions if one[0] <= world.now() - UNFINISHED]
    for at, epoch, target in promotions:
        told = explanation_lines(await explain(documents, topology, service, at + LITTLE), at)
        if not any(f"epoch {epoch}" in line and target in line for line in told):
            wrong.append(f"the promotion of {target} at epoch {epoch} ({at}) is told as {told}")
        wrong += _without_evidence(world, told)
    holds = await _holds(documents, keys.history(topology, service))
    for key, at in holds.items():
        told = explanation_lines(await explain(documents, topology, service, at), at)
        if not any(line.strip().startswith(("held:", "guard:", "failed:", "because ")) for line in told):
            wrong.append(f"the hold in {key} is told as {told}")
        wrong += _without_evidence(world, told)
    return len(promotions) + len(holds), wrong


async def _holds(documents: Filed, prefix: str) -> dict[str, datetime]:
    """When each journal entry looked whose steps were held or refused, by key."""
    stored = {key: await documents.load(key) for key in await documents.keys(prefix)}
    entries = {key: msgspec.json.decode(one.body, type=Entry) for key, one in stored.items() if one}
    return {k: max(e.started, e.looked) for k, e in entries.items() if e.outcome in ("held", "paused", "refused")}


def _without_evidence(world: World, told: tuple[str, ...]) -> list[str]:
    """Every source of every member, and how old it is."""
    missing = [
        f"{name}: {source}"
        for name in world.service.names
        for source in SOURCES
        if not any(line.strip().startswith(f"{name}: {source}") for line in told)
    ]
    aged = any(" s before the requested moment" in line or " s after the requested moment" in line for line in told)
    return [f"{', '.join(missing) or 'the age'} is missing in {told}"] if missing or not aged else []
