"""Load balancers over ARM: their state, and one member's adminState, one operation a method.

`Up` is never written: it makes the load balancer ignore the probe for ever (safety.md, finding 3). Which member to fence or
lift, when, and the order of these operations is `reconcile.act.fencing`; a service behind several load balancers is fenced
in one pool at a time (`Service.at_each_pool`). A pool that the service does not name is not seen from here.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

from function_app.adapters.arm.backend_pool import Pool, admin_state_of, frontend_of, pool_of, reason_of
from function_app.adapters.arm.balancer_document import (
    Address,
    BackendHealth,
    flows_of,
    health_rows,
    no_healthy_backends,
    noticed_within,
)
from function_app.adapters.arm.client import LATER, Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, plain
from function_app.domain.base.errors import Superseded, Terminal, Transient, Unavailable
from function_app.domain.service.observation import AdminState, Backend, BalancerReading, in_every_pool
from function_app.domain.service.provable import (
    PoolSeen,
    fencing_rule,
    flaws,
    hidden,
    may_be_elsewhere,
    unjoined_by,
    unprovable,
)
from function_app.domain.topology.model import LoadBalancer, Service, Speaker
from function_app.reconcile.ports import PoolView

log = logging.getLogger("hopkeeper.azure")

KIND = "Microsoft.Network/loadBalancers"
TAG = "hopkeeper-fence"  # bumped where a write that changes nothing keeps the etag
# Bounds of whole operations, polls included, for an Azure that hangs: `fenceTimeout` bounds a fence, the client every single
# request. A read takes well below a second, a health action about one second, a write of the pool about three.
READ_TIMEOUT = timedelta(minutes=2)
WRITE_TIMEOUT = timedelta(minutes=5)
POLL = timedelta(seconds=1)
POLL_OF_FENCE = timedelta(seconds=0.5)
"""A fence is waited for by flows: what has ended is noticed within half of it on average."""
KEPT_MAX = 8
"""Pools whose last reading is kept for what follows it: those of fences that are under way at once."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a read (also by the health action) and a write may take. `poll`: the pause where ARM names none."""

    read: timedelta = READ_TIMEOUT
    write: timedelta = WRITE_TIMEOUT
    poll: timedelta = POLL_OF_FENCE


def _balancer_of(service: Service) -> LoadBalancer:
    if service.load_balancer is None:
        raise Terminal(f"{service.name} has no load balancer")
    return service.load_balancer


class _Access:
    """One service's load balancer through one client: the requests."""

    def __init__(self, network: Any, service: Service, poll: timedelta) -> None:
        self.spec = _balancer_of(service)
        self.service = service
        self._id = ResourceId.parse(self.spec.id, KIND)
        self._poll = poll.total_seconds()
        self._balancers = network.load_balancers
        self._pools = network.load_balancer_backend_address_pools
        self._rules = network.load_balancer_load_balancing_rules

    async def load_balancer(self) -> Json:
        found = await self._balancers.get(self._id.group, self._id.name)
        return plain(found)

    async def pool(self) -> Pool:
        found = await self._pools.get(self._id.group, self._id.name, self.spec.backend_pool)
        return pool_of(plain(found), found.as_dict(exclude_readonly=True))

    async def health(self, rule: str) -> tuple[BackendHealth, ...]:
        poller = await self._rules.begin_health(self._id.group, self._id.name, rule, polling_interval=self._poll)
        found = await poller.result()
        return health_rows(plain(found) if found else {})

    def rule(self, document: Json) -> str | None:
        """The rule whose health shows what a fence does; None where none joins the pool and the probe."""
        return fencing_rule(flows_of(document), self.spec)

    async def both(self) -> tuple[Json, Pool]:
        """The load balancer and its pool, requested together: they share an etag, which every write of either changes."""
        return await asyncio.gather(self.load_balancer(), self.pool())

    async def find(self, document: Json, pool: Pool, speaker: Speaker) -> Address | None:
        """None where no address of the pool is the member's. Reads health only where the pool shows no IPs; raises Unavailable
        where that does not tell of each which member it is."""
        member, speaker = self.service.member(speaker.name), self.spec.known(speaker)
        found = pool.find(member, speaker, ())
        if found is None and any(address.ip is None for address in pool.addresses):
            rule = self.rule(document)
            rows = await self.health(rule) if rule else ()
            found = pool.find(member, speaker, rows)
            if found is None and len(pool.others((), rows)) < len(pool.addresses):
                raise Unavailable(f"{self._not_found(speaker)} by its name, and health does not show every IP", LATER)
        return found

    async def listed(self, document: Json, pool: Pool, speaker: Speaker) -> Address:
        """As `find`. Raises Unavailable where the member is not in the pool."""
        found = await self.find(document, pool, speaker)
        if found is None:
            raise Unavailable(self._not_found(speaker), LATER)
        return found

    def _not_found(self, speaker: Speaker) -> str:
        return f"{speaker.name} ({speaker.address}) is not in pool {self.spec.backend_pool} of {self._id.name}"

    async def view(self, document: Json, pool: Pool, speaker: Speaker) -> PoolView:
        flows, known = flows_of(document), self.spec.known(speaker)
        address = await self.find(document, pool, speaker)
        if address is None:
            why = unprovable(flows, self.spec, known, None) or hidden(flows, self.spec, known)
            return PoolView(pool.etag, None, why)
        why = unprovable(flows, self.spec, known, address.interface)
        return PoolView(pool.etag, admin_state_of(address), why, self.address_id(address))

    def address_id(self, address: Address) -> str:
        """Its pool's id and its name there, in lower case: a pool's addresses have no ids of their own."""
        return f"{self.spec.pool_id}/{address.name}".casefold()

    async def put(self, body: Json, etag: str) -> None:
        """Writes the pool If-Match and waits until the write has succeeded."""
        where = (self._id.group, self._id.name, self.spec.backend_pool)
        headers = {"If-Match": etag}
        poller = await self._pools.begin_create_or_update(*where, body, headers=headers, polling_interval=self._poll)
        await poller.result()

    async def tag(self, tags: Json, etag: str) -> None:
        await self._balancers.update_tags(self._id.group, self._id.name, {"tags": tags}, headers={"If-Match": etag})


async def _access(azure: Azure, service: Service, poll: timedelta) -> _Access:
    subscription = ResourceId.parse(_balancer_of(service).id, KIND).subscription
    return _Access(await azure.network(subscription), service, poll)


class LoadBalancersOverArm:
    def __init__(self, azure: Azure, poll: timedelta = POLL) -> None:
        self._azure = azure
        self._poll = poll

    def warm(self) -> None:
        self._azure.warm()

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        """Members that no pool shows are left out; reasons are None where health does not answer in time."""
        first, *others = await asyncio.gather(*(self._answers(each, timeout) for each in service.at_each_pool))
        async with calling(f"reading the load balancer of {service.name}", timeout):
            frontend = frontend_of(first.document, first.access.spec.frontend)
            return in_every_pool([_reading(answers, speakers, frontend) for answers in (first, *others)])

    async def _answers(self, service: Service, timeout: timedelta) -> "_Answers":
        ends = asyncio.get_running_loop().time() + timeout.total_seconds()
        async with calling(f"reading the load balancer of {service.name}", timeout):
            access = await _access(self._azure, service, self._poll)
            document, pool = await access.both()
            rule = access.rule(document)
        left = timedelta(seconds=ends - asyncio.get_running_loop().time())
        return _Answers(access, document, pool, await _rows_in_time(access, rule, left) if rule else ())


@dataclass(frozen=True, slots=True)
class _Answers:
    """What ARM answered about one pool of a service."""

    access: _Access
    document: Json
    pool: Pool
    rows: tuple[BackendHealth, ...]


def _reading(answers: _Answers, speakers: Mapping[str, Speaker], frontend: IPv4Address) -> BalancerReading:
    access, pool, rows = answers.access, answers.pool, answers.rows
    known = {name: access.spec.known(speaker) for name, speaker in speakers.items()}
    found = {m.speaker: pool.find(m, known[m.speaker], rows) for m in access.service.members}
    backends = {
        name: Backend(admin_state_of(address), reason_of(rows, address, known[name]), access.address_id(address))
        for name, address in found.items()
        if address is not None
    }
    members = tuple(found.values())
    others = pool.others(members, rows)
    strangers = frozenset(access.address_id(a) for a in others if a.state.casefold() != "down")
    complete = all(address in (*members, *others) for address in pool.addresses)
    noticed = noticed_within(answers.document, access.spec.probe)
    interfaces = {name: address.interface for name, address in found.items() if address is not None}
    seen = PoolSeen(no_healthy_backends(answers.document, access.spec.probe), strangers, interfaces)
    flows = flows_of(answers.document)
    wrong, missing = flaws(flows, access.spec, known, seen), known.keys() - backends.keys()
    elsewhere = frozenset(name for name in missing if may_be_elsewhere(flows, access.spec, known[name]))
    unjoined = unjoined_by(flows, access.spec)
    return BalancerReading(pool.etag, frontend, backends, noticed, complete, strangers, wrong, elsewhere, unjoined)


async def _rows_in_time(access: _Access, rule: str, timeout: timedelta) -> tuple[BackendHealth, ...]:
    try:
        async with calling(f"reading the health of rule {rule}", timeout):
            return await access.health(rule)
    except Transient as error:
        fields = {"rule": rule, "error": str(error)}
        log.warning("the health of a rule was not read, its members' reasons are unknown: %s", fields, extra=fields)
        return ()


class AdminStatesOverArm:
    """A fence is a series of requests, one after the other, and the next ones use what the last one read."""

    def __init__(self, azure: Azure, timeouts: Timeouts = Timeouts()) -> None:
        self._azure = azure
        self._timeouts = timeouts
        self._kept: OrderedDict[str, tuple[Json, Pool]] = OrderedDict()
        """By pool, the load balancer and the pool as they were read last."""

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        async with calling(f"reading {speaker.name} in the pool of {service.name}", self._timeouts.read):
            access = await self._access(service)
            return await access.view(*await self._both(access), speaker)

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        """The body of the write is the pool as read with the same etag, by the look before where that is kept; the result is read
        after the write succeeded."""
        if state is AdminState.UP:
            raise Terminal("adminState Up is never written")
        async with calling(f"setting {speaker.name} to {state} in the pool of {service.name}", self._timeouts.write):
            access = await self._access(service)
            document, before = self._read_at(access, etag) or await self._both(access)
            if before.etag != etag:
                raise Superseded(f"the etag of the pool is {before.etag} and no longer {etag}")
            address = await access.listed(document, before, speaker)
            await access.put(before.with_state(address, state), etag)
            document, after = await self._both(access)
            if changed := before.membership ^ after.membership:
                names = ", ".join(sorted({name for name, _, _ in changed}))
                raise Terminal(f"the membership of pool {access.spec.backend_pool} changed with our write: {names}")
            return await access.view(document, after, speaker)

    async def bump(self, service: Service, etag: str) -> None:
        """Writes a tag of the load balancer: that gives it and its pools a new etag without touching what they do."""
        async with calling(f"changing the etag of the load balancer of {service.name}", self._timeouts.read):
            access = await self._access(service)
            document = await access.load_balancer()
            await access.tag({**(document.get("tags") or {}), TAG: etag}, etag)

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        """Raises Unavailable also where no rule joins the service's pool and probe: there is no health action then."""
        async with calling(f"reading the health of {speaker.name} in {service.name}", self._timeouts.read):
            access = await self._access(service)
            document, pool, rows = await self._with_health(access)
            address = await access.find(document, pool, speaker)
            return reason_of(rows, address, access.spec.known(speaker))

    async def _access(self, service: Service) -> _Access:
        return await _access(self._azure, service, self._timeouts.poll)

    async def _both(self, access: _Access) -> tuple[Json, Pool]:
        self._kept[access.spec.pool_id] = read = await access.both()
        self._kept.move_to_end(access.spec.pool_id)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return read

    def _read_at(self, access: _Access, etag: str) -> tuple[Json, Pool] | None:
        """What was read last, if it has this etag."""
        read = self._kept.get(access.spec.pool_id)
        return read if read is not None and read[1].etag == etag else None

    async def _with_health(self, access: _Access) -> tuple[Json, Pool, tuple[BackendHealth, ...]]:
        """What is read, and the health of the rule that it shows; where the last reading showed the same one, both are requested
        at the same time."""
        read = self._kept.get(access.spec.pool_id)
        rule = access.rule(read[0]) if read is not None else None
        if rule is None:
            return await self._then_health(access, *await self._both(access))
        found, rows = await asyncio.gather(self._both(access), access.health(rule), return_exceptions=True)
        if isinstance(found, BaseException):
            raise found
        if access.rule(found[0]) != rule:
            return await self._then_health(access, *found)
        if isinstance(rows, BaseException):
            raise rows
        return *found, rows

    async def _then_health(
        self, access: _Access, document: Json, pool: Pool
    ) -> tuple[Json, Pool, tuple[BackendHealth, ...]]:
        if (rule := access.rule(document)) is None:
            raise Unavailable(unjoined_by(flows_of(document), access.spec), LATER)
        return document, pool, await access.health(rule)
