"""The operator's documents: the version in force, and the last good one where the newest cannot be used.

`topologies/{name}.yaml` is what operators write (its etag is the generation), `good/{name}.yaml` the copy of the last
version that decoded. What a document may contain is `domain.topology.document`.
"""

import logging
from dataclasses import dataclass

from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.ports import Documents, Stored
from function_app.reconcile.store import keys

log = logging.getLogger("hopkeeper.pass")


@dataclass(frozen=True, slots=True)
class InForce:
    """The topology to work with; `problems`: why it is not the newest document, empty when it is."""

    topology: Topology
    generation: str
    problems: tuple[Problem, ...] = ()


class Topologies:
    """Reads and writes topology documents. Decoded ones are cached by etag: a pass decodes only what changed."""

    def __init__(self, documents: Documents, place: Place) -> None:
        self._documents = documents
        self._place = place
        self._decoded: dict[tuple[str, str], Topology] = {}

    async def names(self) -> tuple[str, ...]:
        found = map(keys.topology_name, await self._documents.keys(keys.TOPOLOGIES))
        return tuple(name for name in found if name is not None)

    async def in_force(self, name: str) -> InForce:
        """The version to act on. Raises BadInput where there is none, or none that ever decoded."""
        newest = await self._documents.load(keys.topology(name))
        if newest is None:
            raise BadInput.of("$.name", f"there is no topology {name!r}")
        try:
            topology = self._decode(name, newest)
        except BadInput as error:
            good = await self._documents.load(keys.last_good(name))
            if good is None:
                raise
            return InForce(self._decode(name, good), good.etag, error.problems)
        return InForce(topology, newest.etag)

    async def all_in_force(self) -> tuple[InForce, ...]:
        """Every topology with a usable document; an unusable one is logged and hides no other."""
        found = []
        for name in await self.names():
            try:
                found.append(await self.in_force(name))
            except BadInput as error:
                fields = {"topology": name, "problems": str(error)}
                log.warning("a topology cannot be used: %s", fields, extra=fields)
        return tuple(found)

    async def apply(self, text: str) -> Topology:
        """Checks and stores a document, whole or not at all. Raises BadInput, or Superseded if another writer was faster."""
        topology = decode(text, self._place)
        problems = await self._clashes(topology)
        if problems:
            raise BadInput(problems)
        there = await self._documents.load(keys.topology(topology.name))
        await self._documents.save(keys.topology(topology.name), text.encode(), there.etag if there else None)
        await self._documents.put(keys.last_good(topology.name), text.encode())
        return topology

    async def _clashes(self, topology: Topology) -> tuple[Problem, ...]:
        """Two topologies must not manage the same backend pool or adopted peering: each would undo the other's changes."""
        mine = _claims(topology)
        return tuple(
            Problem(mine[claim], f"belongs to topology {other.topology.name!r}")
            for other in await self.all_in_force()
            if other.topology.name != topology.name
            for claim in _claims(other.topology)
            if claim in mine
        )

    def _decode(self, name: str, stored: Stored) -> Topology:
        known = self._decoded.get((name, stored.etag))
        if known is not None:
            return known
        try:
            text = stored.body.decode()
        except UnicodeDecodeError as error:
            raise BadInput.of("$", "the document is not UTF-8") from error
        topology = decode(text, self._place)
        if topology.name != name:
            raise BadInput.of("$.name", f"is {topology.name!r}, but the document is kept as {name!r}")
        self._decoded = {key: value for key, value in self._decoded.items() if key[0] != name}
        self._decoded[(name, stored.etag)] = topology
        return topology


def _claims(topology: Topology) -> dict[tuple[str, str], str]:
    """What only one topology may manage, by its identity in Azure, and the path in the document that names it."""
    pools = {
        (s.load_balancer.pool_id, ""): f"$.services[{i}].nextHop.loadBalancer.backendPool"
        for i, s in enumerate(topology.services)
        if s.load_balancer
    }
    return pools | {
        (server.id.casefold(), connection.casefold()): f"$.routeServers[{i}].adopt.{speaker}"
        for i, server in enumerate(topology.route_servers)
        for speaker, connection in server.adopt.items()
    }
