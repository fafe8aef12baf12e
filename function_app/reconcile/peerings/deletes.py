"""What is remembered about deletes of working peerings, in `peerings/{topology}/{server}.json`, by compare-and-swap.

Two things that a look at Azure cannot tell: when the last one was, and since when an exchange has been announced. Lost
or unreadable, the next delete waits for nothing and the next exchange is announced again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from function_app.domain.peerings.model import DeletePeering, PeeringStep, RouteServerReading
from function_app.domain.topology.model import RouteServer, Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys


class NotedDelete(msgspec.Struct, frozen=True, kw_only=True):
    """A peering by name, and when."""

    name: str
    at: datetime


class Deletes(msgspec.Struct, frozen=True, kw_only=True):
    """Of one Route Server."""

    deleted: NotedDelete | None = None
    """The working peering that was deleted last."""
    announced: NotedDelete | None = None
    """The exchange that a pass announced before it is made."""


class DeletesOf:
    """The document of one Route Server in one pass: read once, written where a delete is announced or made."""

    def __init__(self, ports: Ports, topology: Topology, server: RouteServer) -> None:
        self._ports = ports
        self._key = keys.peering_deletes(topology.name, server.name)
        self._timing = topology.timing
        self._known = Deletes()
        self._etag: str | None = None

    async def load(self) -> None:
        """Raises Unavailable."""
        known, self._etag = await kept.load(self._ports.documents, self._key, Deletes)
        self._known = known or Deletes()

    @property
    def last(self) -> tuple[str, timedelta] | None:
        """The working peering that was deleted last, and how long ago."""
        noted = self._known.deleted
        return (noted.name, self._ports.clock.now() - noted.at) if noted is not None else None

    async def announced_for(self, step: DeletePeering, unsure: bool = False) -> timedelta | None:
        """How long the announcement of an exchange has still to stand before it may be made; None where it may be made. `unsure`:
        so for a delete that one look alone speaks for.

        | the announcement of this exchange                  | result                                    |
        |----------------------------------------------------|-------------------------------------------|
        | is not needed: no speaker is left without peering, | None                                      |
        | and it is not `unsure`                             |                                           |
        | stands for `doubtPoll`, and not much longer        | None                                      |
        | stands for less                                    | the rest of `doubtPoll`                   |
        | is missing, too old, or in the future              | announced now: `doubtPoll`                |

        Raises Superseded where another pass was faster, or Unavailable.
        """
        if step.exposure is None and not unsure:
            return None
        now, notice, known = self._ports.clock.now(), self._timing.doubt_poll, self._known.announced
        if known is not None and known.name == step.name:
            ago = now - known.at
            if notice <= ago <= notice + self._timing.peering_delete_spacing:
                return None
            if timedelta(0) <= ago < notice:
                return notice - ago
        await self._save(Deletes(deleted=self._known.deleted, announced=NotedDelete(name=step.name, at=now)))
        return notice

    async def withdrawn(self, still: Iterable[PeeringStep]) -> None:
        """Forgets the announcement of a delete that is not planned any more. Raises Superseded or Unavailable."""
        known = self._known.announced
        if known is not None and all(step.name != known.name for step in still):
            await self._save(Deletes(deleted=self._known.deleted))

    async def note(self, step: DeletePeering, reading: RouteServerReading) -> None:
        """Writes down the delete of a working peering before it is made. Raises Superseded or Unavailable."""
        if any(p.name.casefold() == step.name.casefold() and p.in_force for p in reading.peerings):
            await self._save(Deletes(deleted=NotedDelete(name=step.name, at=self._ports.clock.now())))

    async def _save(self, deletes: Deletes) -> None:
        self._etag = await self._ports.documents.save(self._key, msgspec.json.encode(deletes), self._etag)
        self._known = deletes
