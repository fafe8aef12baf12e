"""The operator's documents: the version in force, and the last good one where the newest cannot be used.

`topologies/{name}.yaml` is what operators write (its etag is the generation), `good/{name}.yaml` the copy of the last
version that decoded and took nothing away that may serve, `previous/{name}.yaml` the one that this replaced. What a document
may contain is `domain.topology.document`.

| `topologies/{name}.yaml`                                   | in force                                                      |
|------------------------------------------------------------|---------------------------------------------------------------|
| may be used                                                | it                                                            |
| breaks recent laws alone, and is the last good one         | it, with these problems: an older version accepted it         |
| cannot be used                                             | the last good one                                             |
| takes away what may serve                                  | the last good one, until that has ended                       |
| is not there                                               | the last good one while anything in it may serve; else none   |
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from ipaddress import IPv4Network

import msgspec

from function_app.domain.base.errors import BadInput, Changed, NotNow, NotThere, Problem, Superseded
from function_app.domain.service.leaving import departures
from function_app.domain.service.record import Record
from function_app.domain.topology.announces import sources
from function_app.domain.topology.document import decode, decode_stored
from function_app.domain.topology.laws import Place
from function_app.domain.topology.laws.services import pools_of
from function_app.domain.topology.model import Topology
from function_app.reconcile import large
from function_app.reconcile.ports import Documents, Stored
from function_app.reconcile.store import keys
from function_app.reconcile.store.records import Records

DECODED_MOST = 64
"""How many documents are kept in memory as they were decoded, or refused."""
NEVER = datetime.fromtimestamp(0, UTC)
"""When a record that cannot be read began to be learned, where that does not matter."""
DELETED = Problem(
    "$", "the document is gone; what it had last stays in force: put it back, or end its services, one by one"
)

NOT_STORED = "not stored"
"""The generation of a document that is not in force."""

log = logging.getLogger("hopkeeper.pass")


@dataclass(frozen=True, slots=True)
class InForce:
    """The topology to work with; `problems`: why it is not the newest document, empty when it is."""

    topology: Topology
    generation: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it was written, and its etag in the storage."""

    text: str
    etag: str

    @property
    def quoted_etag(self) -> str:
        """As HTTP writes it."""
        return f'"{unquoted(self.etag)}"'

    @property
    def unchanged(self) -> "Expects":
        """That this is still what is there."""
        return Expects(frozenset({unquoted(self.etag)}))


def unquoted(etag: str) -> str:
    """An etag as it is compared: without quotes, which Blob Storage gives and a directory does not, and without a mark of
    weakness, which proxies that compress set."""
    return etag.strip().removeprefix("W/").strip('"')


@dataclass(frozen=True, slots=True)
class Expects:
    """What the sender of a change believes to be there; by default nothing of it."""

    etags: frozenset[str] = frozenset()
    """One of these documents, unquoted; `*` is any."""
    nothing: bool = False
    """No document at all."""

    def check(self, name: str, there: Stored | None, good: Stored | None = None) -> None:
        """Raises Changed, with the etag that is there. `good` is in force where what is there cannot be used."""
        found = None if there is None else unquoted(there.etag)
        wrong = self.nothing and found is not None
        if self.etags:
            seen = {unquoted(stored.etag) for stored in (there, good) if stored is not None}
            wrong = found is None or not self.etags & {*seen, "*"}
        if wrong:
            now = "there is none" if found is None else f'its etag is "{found}"'
            raise Changed(f"the document of topology {name!r} is not as it is expected to be: {now}")

    @property
    def anything(self) -> bool:
        return not self.etags and not self.nothing


ANYTHING = Expects()
NOTHING = Expects(nothing=True)


class Topologies:
    """Reads and writes topology documents. Decoded and refused ones are kept by their text: a pass decodes only what changed."""

    def __init__(self, documents: Documents, place: Place, observe_only: bool = False) -> None:
        """`observe_only`: no document that was stored by hand is kept as the last good one."""
        self._observe_only = observe_only
        self._documents = documents
        self._place = place
        self._decoded = lru_cache(DECODED_MOST)(partial(_decoded, place))
        self._believed: dict[str, str] = {}
        """By topology, the etag of the newest document that was found to follow the one before."""
        self._named: dict[str, tuple[str, frozenset[str]]] = {}
        """By topology whose newest document is in force: the version of that, and `resource_ids`."""
        self._last: dict[str, InForce] = {}
        """By topology, what was in force the last time that it was wanted: of the last so many as are kept decoded."""

    async def names(self) -> tuple[str, ...]:
        """Of every topology that has a document, and of those whose document was deleted while something in it may serve."""
        return await self._listed(await self._documents.keys(keys.TOPOLOGIES))

    async def _listed(self, there: Iterable[str]) -> tuple[str, ...]:
        good = await self._documents.keys(keys.GOOD)
        found = {name for key in there if (name := keys.topology_name(key)) is not None}
        left = [name for key in good if (name := keys.topology_name(key)) is not None and name not in found]
        return tuple(sorted([*found, *[name for name in left if await self._held(name) is not None]]))

    def recalled(self, name: str) -> InForce | None:
        """What was in force the last time, without a look at the storage: good for questions, and for nothing that acts."""
        return self._last.get(name)

    async def in_force(self, name: str) -> InForce:
        """The version to act on. Raises BadInput where there is none, or none that ever decoded."""
        self._last.pop(name, None)
        found = self._last[name] = await self._in_force(name)
        while len(self._last) > DECODED_MOST:
            del self._last[next(iter(self._last))]
        return found

    async def _in_force(self, name: str) -> InForce:
        newest = await self._documents.load(keys.topology(name))
        if newest is None:
            held = await self._held(name)
            if held is None:
                raise NotThere.of("$.name", f"there is no topology {name!r}")
            return held
        try:
            topology, recent = await self._decode(name, newest)
        except BadInput as error:
            return await self._last_good(name, error.problems)
        good = await self._documents.load(keys.last_good(name)) if recent else None
        if recent and (good is None or good.body != newest.body):
            return await self._last_good(name, recent)
        in_force = await self._followed(topology, newest)
        return replace(in_force, problems=(*in_force.problems, *recent))

    async def _last_good(self, name: str, problems: tuple[Problem, ...]) -> InForce:
        """In place of one with these problems. Raises BadInput with them where there is none."""
        good = await self._documents.load(keys.last_good(name))
        if good is None:
            raise BadInput(problems)
        topology, recent = await self._decode(name, good)
        return InForce(topology, good.etag, (*problems, *recent))

    async def _held(self, name: str) -> InForce | None:
        """Of a topology whose document was deleted: the last good one, while anything in it may serve. Nothing else knows of it
        that it is to be fenced, and that no other topology may take its pools."""
        good = await self._documents.load(keys.last_good(name))
        if good is None:
            return None
        problems = await self._departures(name, good, None)
        if not problems:
            return None
        topology, _ = await self._decode(name, good)
        return InForce(topology, good.etag, (DELETED, *problems))

    async def _followed(self, newest: Topology, stored: Stored) -> InForce:
        """The newest document, or the one before it while that one has what may serve and the newest has not: whoever wrote
        it, by `apply` or into the storage. One that may follow becomes the last good one.

        Of a service that is not on record everyone may serve: its record was lost, or the first pass is about to write it.
        """
        name = newest.name
        if self._believed.get(name) == stored.etag:
            return InForce(newest, stored.etag)
        good = await self._documents.load(keys.last_good(name))
        if good is not None and good.body != stored.body:
            # Who only observes writes no record.
            problems = await self._departures(name, good, newest, recorded=self._observe_only)
            if problems:
                before, _ = await self._decode(name, good)
                return InForce(before, good.etag, problems)
        if not self._observe_only:
            await self._keep(name, good, stored.body)
        self._believed[name] = stored.etag
        return InForce(newest, stored.etag)

    async def _keep(self, name: str, good: Stored | None, body: bytes) -> None:
        """As the last good one, in place of `good`, which becomes the one before it."""
        if good is not None and good.body == body:
            return
        if good is not None:
            await self._documents.put(keys.previous(name), good.body)
        await self._documents.put(keys.last_good(name), body)

    async def _departures(
        self, name: str, good: Stored, newest: Topology | None, recorded: bool = True
    ) -> tuple[Problem, ...]:
        """What `newest` (None: no document at all) takes away. `recorded`: a service that is not on record keeps nothing. Nothing
        where the document before cannot be used any more: then nothing is kept."""
        try:
            old, _ = await self._decode(name, good)
        except BadInput as error:
            fields = {"topology": name, "problems": str(error)}
            log.warning("the last good document cannot be used any more, and keeps nothing: %s", fields, extra=fields)
            return ()
        left = newest or msgspec.structs.replace(old, services=())
        return tuple(departures(old, left, await self._records(old, recorded)))

    async def _records(self, topology: Topology, recorded: bool) -> dict[str, Record]:
        """By `Service.key`, what is on record of its services. Raises Unavailable."""
        records = Records(self._documents)
        held = {service.key: await records.load(topology, service, NEVER) for service in topology.services}
        return {key: stored.record for key, stored in held.items() if stored.etag is not None or not recorded}

    async def naming(self, resources: Collection[str]) -> tuple[str, ...]:
        """Topologies in force that name one of these (or a parent of it: a peering, a pool or an instance lies below what a
        topology names), ids in lower case. Documents that have not changed are not read again."""
        above = frozenset(parent for each in resources for parent in _upwards(each))
        versions = await self._documents.versions(keys.TOPOLOGIES)
        names = await self._listed(versions)
        named = [(name, await self._resources(name, versions.get(keys.topology(name)))) for name in names]
        return tuple(name for name, ids in named if not ids.isdisjoint(above))

    async def _resources(self, name: str, version: str | None) -> frozenset[str]:
        """Those that a topology names; none where it cannot be used."""
        known, ids = self._named.get(name, (None, frozenset[str]()))
        if version is not None and known == version:
            return ids
        in_force = await self._usable(name)
        if in_force is None:
            return frozenset()
        if version is not None and not in_force.problems:
            self._named[name] = version, in_force.topology.resource_ids
        return in_force.topology.resource_ids

    async def all_in_force(self) -> tuple[InForce, ...]:
        """Every topology with a usable document; an unusable one hides no other."""
        found = [await self._usable(name) for name in await self.names()]
        return tuple(in_force for in_force in found if in_force is not None)

    async def _usable(self, name: str) -> InForce | None:
        """As `in_force`; None, and a line in the log, where there is none that can be used."""
        try:
            return await self.in_force(name)
        except BadInput as error:
            fields = {"topology": name, "problems": str(error)}
            log.warning("a topology cannot be used: %s", fields, extra=fields)
            return None

    async def apply(self, text: str) -> Topology:
        """As `put`, whatever is there."""
        return (await self.put(text)).topology

    async def put(self, text: str, expects: Expects = ANYTHING) -> InForce:
        """Checks and stores a document, whole or not at all. Raises BadInput; Changed where what is there is not what is
        expected; Superseded if another writer was faster and nothing is expected."""
        proposed = await self.proposed(text)
        if proposed.problems:
            raise NotNow(proposed.problems)
        topology = proposed.topology
        key = keys.topology(topology.name)
        there = await self._documents.load(key)
        good = await self._documents.load(keys.last_good(topology.name)) if expects.etags else None
        expects.check(topology.name, there, good)
        with _told_apart(topology.name, expects):
            etag = await self._documents.save(key, text.encode(), there.etag if there else None)
        # What it takes away may have been ordered back meanwhile: `resume` reads the document before, and writes the record.
        if problems := await self._taken_away(topology):
            if there is not None:
                await self._documents.save(key, there.body, etag)
            raise NotNow(problems)
        await self._keep(topology.name, await self._documents.load(keys.last_good(topology.name)), text.encode())
        return InForce(topology, etag)

    async def remove(self, name: str, judged: str | None, expects: Expects = ANYTHING) -> None:
        """Takes the document away, which is the one of the etag `judged`; the last good one stays as the previous one, and in
        force while anything in it may serve. Raises BadInput where there is none, and as `put`."""
        there = await self._documents.load(keys.topology(name))
        expects.check(name, there)
        if there is None:
            raise NotThere.of("$.name", f"topology {name!r} has no document any more")
        with _told_apart(name, expects):
            if there.etag != judged:
                raise Superseded(f"the document of topology {name!r} changed since it was judged")
            await self._documents.remove(keys.topology(name), there.etag)

    def decoded(self, text: str) -> Topology:
        """A document by itself. Raises BadInput."""
        return decode(text, self._place)

    async def proposed(self, text: str) -> InForce:
        """A document that is not stored, with what would keep it from being put in force now. Raises BadInput for no document."""
        topology = self.decoded(text)
        problems = await self._clashes(topology) + await self._taken_away(topology)
        return InForce(topology, NOT_STORED, problems)

    async def _taken_away(self, topology: Topology) -> tuple[Problem, ...]:
        good = await self._documents.load(keys.last_good(topology.name))
        return await self._departures(topology.name, good, topology) if good is not None else ()

    async def text(self, name: str) -> str:
        """The document that is in force, as it was written. Raises BadInput where there is none."""
        return (await self.written(name)).text

    async def written(self, name: str) -> Written:
        """The same, with its etag."""
        in_force = await self.in_force(name)
        for key in (keys.topology(name), keys.last_good(name)):
            stored = await self._documents.load(key)
            if stored is not None and stored.etag == in_force.generation:
                return Written(stored.body.decode(), stored.etag)
        raise Superseded(f"topology {name!r} changed meanwhile")

    async def previous(self, name: str) -> Written:
        """The document that was in force before the one that is, or before the topology was taken away. Raises BadInput
        where there is none."""
        before = await self._documents.load(keys.previous(name))
        if await self._documents.load(keys.topology(name)) is None:
            before = await self._documents.load(keys.last_good(name)) or before
        if before is None:
            raise NotThere.of(
                "$.name",
                f"there is no document of topology {name!r} before the one in force; where another one was stored and is "
                f"refused, `hopkeeper get {name}` gives the one in force, to be applied again",
            )
        return Written(before.body.decode(), before.etag)

    async def newest_etag(self, name: str) -> str | None:
        """Of the document that was stored last, in force or not; None where there is none."""
        stored = await self._documents.load(keys.topology(name))
        return None if stored is None else stored.etag

    async def text_or_none(self, name: str) -> str | None:
        """The same, None where there is none."""
        try:
            return await self.text(name)
        except NotThere:
            return None

    async def _clashes(self, topology: Topology) -> tuple[Problem, ...]:
        """Two topologies must not manage the same backend pool or adopted peering, since each would undo the other's changes,
        nor announce a prefix of a service to the same Route Server."""
        mine, announced = _claims(topology), _announced(topology)
        problems: list[Problem] = []
        for other in await self.all_in_force():
            if other.topology.name != topology.name:
                owner = f"belongs to topology {other.topology.name!r}"
                problems += (Problem(mine[claim], owner) for claim in _claims(other.topology) if claim in mine)
                problems += _announced_twice(announced, _announced(other.topology), owner)
        return tuple(problems)

    async def _decode(self, name: str, stored: Stored) -> tuple[Topology, tuple[Problem, ...]]:
        """The topology, and the recent laws that it breaks. Raises BadInput."""
        try:
            text = stored.body.decode()
        except UnicodeDecodeError as error:
            raise BadInput.of("$", "the document is not UTF-8") from error
        found = await large.beside(len(text), large.BYTES, partial(self._decoded, text))
        if isinstance(found, BadInput):
            raise BadInput(found.problems)
        topology, recent = found
        if topology.name != name:
            raise BadInput.of("$.name", f"is {topology.name!r}, but the document is kept as {name!r}")
        return topology, recent


def _decoded(place: Place, text: str) -> tuple[Topology, tuple[Problem, ...]] | BadInput:
    """The topology, and the recent laws that it breaks, or why it is none: that costs as much to find out, and is kept, too."""
    try:
        return decode_stored(text, place)
    except BadInput as error:
        return error


def _upwards(resource: str) -> Iterator[str]:
    """The id, and those of what it may lie below."""
    yield resource
    yield from (resource[:at] for at, character in enumerate(resource) if character == "/" and at)


@contextmanager
def _told_apart(name: str, expects: Expects) -> Iterator[None]:
    """Superseded is Changed where something is expected: it cannot be tried again as it is."""
    try:
        yield
    except Superseded as error:
        if expects.anything:
            raise
        raise Changed(f"the document of topology {name!r} changed at the same time") from error


def _claims(topology: Topology) -> dict[tuple[str, str], str]:
    """What only one topology may manage, by its identity in Azure, and the path in the document that names it."""
    pools = {
        (pool.pool_id, ""): f"{path}.backendPool"
        for i, service in enumerate(topology.services)
        for path, pool in pools_of(service, f"$.services[{i}]")
    }
    return pools | {
        (server.id.casefold(), connection.casefold()): f"$.routeServers[{i}].adopt.{speaker}"
        for i, server in enumerate(topology.route_servers)
        for speaker, connection in server.adopt.items()
    }


type SourcesOf = dict[tuple[str, IPv4Network], frozenset[str]]
"""By a Route Server's id in Azure and prefix, who announces it there."""


def _announced(topology: Topology) -> SourcesOf:
    found: dict[tuple[str, IPv4Network], set[str]] = {}
    for server in topology.route_servers:
        for prefix, source in sources(topology, server):
            found.setdefault((server.id.casefold(), prefix), set()).add(source)
    return {key: frozenset(names) for key, names in found.items()}


def _announced_twice(mine: SourcesOf, theirs: SourcesOf, owner: str) -> Iterator[Problem]:
    """Prefixes of a service, of either, that both announce to the same Route Server."""
    for key in sorted(mine.keys() & theirs.keys()):
        both = sorted(mine[key] | theirs[key])
        if any(source.startswith("service ") for source in both):
            rule = f"{key[1]} is announced to {key[0]} by {', '.join(both)}: one source a prefix, and it {owner}"
            yield Problem("$.services", rule)
