"""The operator's document while it changes: edits by `apply` or by hand into the storage, and law S19.

Passes take the document in force from the storage, as the product does. What leaves is out of its sight, so S19 is looked at
here: no member is admitted that the document of the last pass does not have, unless the record still holds the service for it,
or an operator released the service.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from function_app.domain.base.errors import BadInput
from function_app.domain.service.record import Record
from function_app.domain.service.referents import Referents, moved, referents_of
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.topologies import InForce, Topologies
from proving.storm.places import NETWORK, text_of, written

if TYPE_CHECKING:
    from proving.storm.world import World

NAME = "hub"


def _without_member(document: dict[str, Any], who: str) -> None:
    members = document["services"][0]["members"]
    document["services"][0]["members"] = [m for m in members if m["speaker"] != who]


def _without_service(document: dict[str, Any], who: str) -> None:
    document["services"] = []


def _renamed(document: dict[str, Any], who: str) -> None:
    document["services"][0]["name"] = "firewall"


def _formerly(document: dict[str, Any], who: str) -> None:
    document["services"][0] |= {"name": "firewall", "formerly": "fw"}


def _readdressed(document: dict[str, Any], who: str) -> None:
    next(s for s in document["speakers"] if s["name"] == who)["address"] = "10.0.9.9"


def _other_pool(document: dict[str, Any], who: str) -> None:
    document["services"][0]["nextHop"]["loadBalancer"]["backendPool"] = "others"


def _other_balancer(document: dict[str, Any], who: str) -> None:
    document["services"][0]["nextHop"]["loadBalancer"]["id"] = f"{NETWORK}/loadBalancers/other"


def _without_outer(document: dict[str, Any], who: str) -> None:
    """As it was where there is one load balancer."""
    document["services"][0]["nextHop"]["loadBalancer"].pop("alsoBehind", None)


def _other_kind(document: dict[str, Any], who: str) -> None:
    document["services"][0]["nextHop"] = {"self": {}}


def _deleted(document: dict[str, Any], who: str) -> None:
    """Nothing is written: the whole document goes, by hand."""


def _members(topology: Topology) -> frozenset[str]:
    return frozenset(name for service in topology.services if service.key == "fw" for name in service.names)


LEAVING: dict[str, Callable[[dict[str, Any], str], None]] = {
    "member": _without_member,
    "service": _without_service,
    "formerly": _formerly,
    "deleted": _deleted,
}
"""Edits that come into force once nothing they take away may serve; together with the orders that end that."""
MOVING: dict[str, Callable[[dict[str, Any], str], None]] = {
    "member": _without_member,
    "rename": _renamed,
    "formerly": _formerly,
    "address": _readdressed,
    "pool": _other_pool,
    "balancer": _other_balancer,
    "outer": _without_outer,
    "kind": _other_kind,
}
"""Edits that never come into force while a member may serve: this world has one pool, and no order ends that here."""


MEANING = ("address", "pool", "balancer", "outer", "kind")
"""Those of them after which the names mean something else."""


@cache
def edited(members: int, pace: str, shape: tuple[str, ...], how: str, who: str) -> str:
    """The document after an edit; as it was at the beginning where `how` is empty."""
    document = deepcopy(written(members, pace, shape=shape))
    if how:
        (LEAVING | MOVING)[how](document, who)
    return text_of(document)


@cache
def _named(text: str) -> Referents:
    topology = decode(text, Place())
    return referents_of(topology, next(service for service in topology.services if service.key == "fw"))


def _goes_by(record: Record, named: Referents) -> bool:
    return record.believed <= named.members.keys() and not any(moved(record.about, named, record.believed))


class Edits:
    """See the module."""

    def __init__(self, world: "World", members: int, pace: str, shape: tuple[str, ...]) -> None:
        self._world = world
        self._shape = (members, pace, shape)
        self._stores: dict[int, tuple[Ports, Topologies]] = {}
        self._last: Topology = world.topology
        for key in (keys.topology(NAME), keys.last_good(NAME)):
            world.documents.lay(key, edited(*self._shape, "", "").encode())

    async def in_force(self, ports: Ports) -> InForce:
        """What a pass of this host takes: its own process keeps what it decoded."""
        if self._world.bugs.believes_documents:
            newest = self._world.documents.laid(keys.topology(NAME)) or b""
            found = InForce(decode(newest.decode(), Place()), "newest")
        else:
            found = await self._stored(ports)
        if found.topology != self._last:
            self._last, self._world.dirty = found.topology, True
        return found

    async def _stored(self, ports: Ports) -> InForce:
        """A document that is gone for good leaves nothing to do."""
        try:
            return await self._store(ports).in_force(NAME)
        except BadInput:
            return InForce(replace(self._world.topology, services=()), "gone")

    def _store(self, ports: Ports) -> Topologies:
        """One for each host's process; the ports are made with it."""
        if id(ports) not in self._stores:
            self._stores[id(ports)] = ports, Topologies(ports.documents, Place())
        return self._stores[id(ports)][1]

    def edit(self, how: str, who: str, by_hand: bool) -> None:
        """A new document, whole; `apply` may refuse it."""
        text = edited(*self._shape, how, who)
        self._world.say("! the document is edited%s: %s %s", " by hand" if by_hand else "", how or "as it was", who)
        if how == "deleted":
            self._world.documents.forget(keys.topology(NAME))
        elif by_hand:
            self._world.documents.lay(keys.topology(NAME), text.encode())
        elif (host := self._world.any_host()) is not None:
            host.run(lambda ports: self._store(ports).apply(text), lambda done: None)

    def put_back(self) -> None:
        """The document is as it was at the beginning, or what the record goes by: a pass that had an edited document may have
        acted on it just as it was taken back by hand. The operator does then what the refusal says."""
        record = self._world.documents.record
        for how, who in (("", ""), *product(MEANING, sorted(self._world.agents))):
            text = edited(*self._shape, how, who)
            if record is None or _goes_by(record, _named(text)):
                break
        if self._world.documents.laid(keys.topology(NAME)) != text.encode():
            self.edit(how, who, by_hand=True)

    def look(self) -> None:
        """S19."""
        record = self._world.documents.record
        if record is None or (record.leaving is not None and record.leaving.how == "released"):
            return
        known = _members(self._last)
        held = record.believed if known else frozenset()
        strange = self._admitted() - known - held
        for name in sorted(strange - self._newest() if strange else strange):
            self._world.checks.broken("S19", f"{name} is admitted, and no document or record has it")

    def _newest(self) -> frozenset[str]:
        """The members by the document that is stored now: the last pass may have been given an older one, late."""
        stored = self._world.documents.laid(keys.topology(NAME)) or b""
        try:
            return _members(decode(stored.decode(), Place()))
        except BadInput:
            return frozenset()

    def _admitted(self) -> set[str]:
        world = self._world
        return {name for name in world.service.names if world.agents[name].will and world.lets_pass(name)}
