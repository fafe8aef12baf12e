"""Waits until what is known of a topology changes: its document, the status, a record or a history. Storage reads only."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from function_app.domain.base.errors import HopkeeperError
from function_app.reconcile.documents.events import Events
from function_app.reconcile.history import newest
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.records import Records
from function_app.reconcile.store.topologies import Topologies

POLL = timedelta(seconds=1)


class Marks:
    """What stands for everything that is shown of a topology: read once a second, however many wait for it to change."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[datetime, asyncio.Future[str]]] = {}

    async def changed_since(
        self, ports: Ports, topologies: Topologies, name: str, after: str, wait: timedelta
    ) -> Events:
        """At once where the mark is another one than `after`, else once it is, or when `wait` is over. Raises BadInput for an
        unknown topology, Unavailable."""
        until = ports.clock.now() + wait
        while True:
            mark = await self._newest(ports, topologies, name)
            left = until - ports.clock.now()
            if mark != after or left <= timedelta(0):
                return Events(topology=name, mark=mark, changed=mark != after)
            await ports.clock.sleep(min(POLL, left))

    async def _newest(self, ports: Ports, topologies: Topologies, name: str) -> str:
        now, found = ports.clock.now(), self._read.get(name)
        if found is None or not timedelta(0) <= now - found[0] < POLL:
            found = self._read[name] = (now, asyncio.ensure_future(_mark(ports, topologies, name)))
        try:
            return await asyncio.shield(found[1])
        except HopkeeperError:
            self._read.pop(name, None)
            raise


async def _mark(ports: Ports, topologies: Topologies, name: str) -> str:
    """A digest of the versions of everything that is shown of a topology."""
    versions = [version async for version in _versions(ports, topologies, name)]
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:24]


async def _versions(ports: Ports, topologies: Topologies, name: str) -> AsyncIterator[str]:
    in_force = await topologies.in_force(name)
    yield in_force.generation
    yield str(len(in_force.problems))
    look = await ports.documents.load(keys.status(name))
    yield look.etag if look else ""
    for service in in_force.topology.services:
        yield await Records(ports.documents).etag(in_force.topology, service) or ""
        yield "".join(await newest(ports.documents, name, service.name, 1))
