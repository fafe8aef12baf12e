"""Internal load balancers over ARM: what they show, and the adminState writes that fence a member (F2) or lift it.

`Up` is never written: it makes the load balancer ignore the probe for ever (safety.md, finding 3). Which member to
fence or lift, and when, is decided elsewhere; here is only what makes such a write safe and its success a proof.
A member that is also in a pool of another load balancer is not seen from here.
"""

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from azure.core.exceptions import AzureError

from function_app.adapters.azure import LATER, Azure, Json, ResourceId, calling, translated
from function_app.domain.errors import Superseded, Terminal, Transient, Unavailable
from function_app.domain.observation import AdminState, Backend, BalancerReading, FenceProof
from function_app.domain.topology import LoadBalancer, Member, Service, Speaker
from function_app.reconcile.ports import BalancerWrite

KIND = "Microsoft.Network/loadBalancers"
DOWN_ADMIN = "Down_Admin"  # the reason code of a backend that is down because of its adminState
TAG = "hopkeeper-fence"  # bumped where a write that changes nothing keeps the etag
WRITES_MAX = 2  # the write, and once more after the tag was bumped


@dataclass(frozen=True, slots=True)
class _Address:
    """A backend address of the pool. `interface` is the id of a NIC's IP configuration, lower case."""

    name: str
    ip: str | None
    interface: str | None
    admin_state: AdminState


@dataclass(frozen=True, slots=True)
class _Row:
    """What a rule's health action says of one backend address."""

    ip: str | None
    interface: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Pool:
    """The pool as read: `body` is what a write sends back."""

    etag: str
    addresses: tuple[_Address, ...]
    body: Json

    @property
    def membership(self) -> frozenset[tuple[str, str | None, str | None]]:
        return frozenset((a.name.casefold(), a.ip, a.interface) for a in self.addresses)

    def find(self, member: Member, speaker: Speaker, rows: tuple[_Row, ...]) -> _Address | None:
        """The member's address by its IP; where the pool shows none, by the topology's name or the NIC's row of health."""
        hidden = tuple(a for a in self.addresses if a.ip is None)
        interfaces = {row.interface for row in rows if row.ip == str(speaker.address) and row.interface}
        by_ip = (a for a in self.addresses if a.ip == str(speaker.address))
        by_name = (a for a in hidden if member.backend and a.name.casefold() == member.backend.casefold())
        by_interface = (a for a in hidden if a.interface in interfaces)
        return next(by_ip, None) or next(by_name, None) or next(by_interface, None)

    def state_of(self, address: _Address) -> AdminState | None:
        return next((a.admin_state for a in self.addresses if a.name == address.name), None)

    def with_state(self, address: _Address, state: AdminState) -> Json:
        """The whole pool as read with only this address's adminState changed."""
        body = deepcopy(self.body)
        for item in body["properties"]["loadBalancerBackendAddresses"]:
            if item.get("name") == address.name:
                item.setdefault("properties", {})["adminState"] = state.value
        return body


class _Access:
    """One service's load balancer through one client: the requests, and the order that every write keeps."""

    def __init__(self, network: Any, service: Service, poll: timedelta) -> None:
        self.spec = service.next_hop.load_balancer
        self.id = ResourceId.parse(self.spec.id, KIND)
        self.poll = poll.total_seconds()
        self._balancers = network.load_balancers
        self._pools = network.load_balancer_backend_address_pools
        self._rules = network.load_balancer_load_balancing_rules

    async def load_balancer(self) -> Json:
        found = await self._balancers.get(self.id.group, self.id.name)
        return dict(found.as_dict())

    async def pool(self) -> _Pool:
        found = await self._pools.get(self.id.group, self.id.name, self.spec.backend_pool)
        return _pool(found.as_dict(), found.as_dict(exclude_readonly=True))

    async def health(self, rule: str) -> tuple[_Row, ...]:
        poller = await self._rules.begin_health(self.id.group, self.id.name, rule, polling_interval=self.poll)
        found = await poller.result()
        return tuple(map(_row, (found.as_dict() if found else {}).get("loadBalancerBackendAddresses") or ()))

    async def find(self, pool: _Pool, request: BalancerWrite) -> _Address:
        """The member's address, asking for health only where the pool shows no IPs. Raises Unavailable."""
        member = request.service.member(request.speaker.name)
        found = pool.find(member, request.speaker, ())
        if found is None and any(address.ip is None for address in pool.addresses):
            rule = next(iter(_fencing_rules(await self.load_balancer(), self.spec)), None)
            found = pool.find(member, request.speaker, await self.health(rule) if rule else ())
        if found is None:
            where = f"pool {self.spec.backend_pool} of {self.id.name}"
            raise Unavailable(f"{request.speaker.name} ({request.speaker.address}) is not in {where}", LATER)
        return found

    async def write(self, request: BalancerWrite, before: _Pool, body: Json) -> _Pool:
        """GET (`before`), recheck, PUT If-Match, in this order (finding 9); then the pool as ARM shows it.

        Raises Superseded where the record moved on, Terminal where the membership changed with the write.
        """
        if not await request.recheck():
            raise Superseded("the record moved on before the write")
        where = (self.id.group, self.id.name, self.spec.backend_pool)
        headers = {"If-Match": before.etag}
        poller = await self._pools.begin_create_or_update(*where, body, headers=headers, polling_interval=self.poll)
        await poller.result()
        after = await self.pool()
        if changed := before.membership ^ after.membership:
            names = ", ".join(sorted({name for name, _, _ in changed}))
            raise Terminal(f"the membership of pool {self.spec.backend_pool} changed with our write: {names}")
        return after

    async def bump(self, epoch: int) -> None:
        """Gives the load balancer and its pools a new etag without touching what they do."""
        document = await self.load_balancer()
        etag = str(document.get("etag"))
        tags = {"tags": {**(document.get("tags") or {}), TAG: f"{epoch} {etag}"}}
        await self._balancers.update_tags(self.id.group, self.id.name, tags, headers={"If-Match": etag})


class LoadBalancersOverArm:
    def __init__(self, azure: Azure, poll: timedelta = timedelta(seconds=1)) -> None:
        """`poll` is the pause between two looks at a write or a health action for which ARM names none."""
        self._azure = azure
        self._poll = poll

    def warm(self) -> None:
        self._azure.warm()

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        """Members that the pool does not show are left out; reasons are None where health does not answer in time."""
        ends = asyncio.get_running_loop().time() + timeout.total_seconds()
        async with calling(f"reading the load balancer of {service.name}", timeout):
            access = await self._access(service)
            document = await access.load_balancer()
            pool = await access.pool()
        frontend = _frontend(document, access.spec.frontend)
        rule = next(iter(_fencing_rules(document, access.spec)), None)
        left = timedelta(seconds=ends - asyncio.get_running_loop().time())
        rows = await _rows_in_time(access, rule, left) if rule else ()
        backends = {}
        for member in service.members:
            speaker = speakers[member.speaker]
            if (address := pool.find(member, speaker, rows)) is not None:
                backends[member.speaker] = Backend(address.admin_state, _reason(rows, address, speaker))
        return BalancerReading(pool.etag, frontend, backends)

    async def fence(self, request: BalancerWrite) -> FenceProof:
        """F2 (safety.md section 2): raises Unavailable or Superseded naming the missing part, Terminal if the pool changed.

        Takes no state that it finds for a proof: also a member that is Down already gets this operation's own write.
        """
        fencing = _Fencing(request)
        what = f"fencing {request.speaker.name} by the load balancer of {request.service.name}"
        try:
            async with calling(what, request.timeout):
                return await fencing.proof(await self._access(request.service))
        except Transient as error:
            words = f"{request.speaker.name} is not proven fenced, {fencing.missing}: {error}"
            raise type(error)(words, error.retry_after) from error

    async def lift(self, request: BalancerWrite) -> None:
        """Writes None where Down is. Raises Unavailable, Superseded, or Terminal if the pool changed."""
        async with calling(f"lifting {request.speaker.name} in {request.service.name}", request.timeout):
            access = await self._access(request.service)
            before = await access.pool()
            address = await access.find(before, request)
            if address.admin_state is AdminState.NONE:
                return
            if address.admin_state is AdminState.UP:
                raise Unavailable(f"{address.name} has adminState Up, which only an operator may undo", LATER)
            after = await access.write(request, before, before.with_state(address, AdminState.NONE))
            if (seen := after.state_of(address)) is not AdminState.NONE:
                raise Superseded(f"None was written for {address.name} and ARM shows {seen}")

    async def _access(self, service: Service) -> _Access:
        subscription = ResourceId.parse(service.next_hop.load_balancer.id, KIND).subscription
        return _Access(await self._azure.network(subscription), service, self._poll)


class _Fencing:
    """One attempt at F2. `missing` is the first part of the proof that is not there yet."""

    def __init__(self, request: BalancerWrite) -> None:
        self._request = request
        self.missing = "nothing is written"

    async def proof(self, access: _Access) -> FenceProof:
        document = await access.load_balancer()
        rule = _provable(document, access.spec)
        address, after = await self._written(access, document)
        if (seen := after.state_of(address)) is not AdminState.DOWN:
            self.missing = "Down is not there any more"
            raise Superseded(f"Down was written for {address.name} and ARM shows {seen}")
        await self._seen_down(access, rule, address)
        return FenceProof(self._request.epoch, after.etag)

    async def _written(self, access: _Access, document: Json) -> tuple[_Address, _Pool]:
        """This operation's own write of Down, succeeded, and the pool after it with another etag than before it.

        An older conditional write that is still under way can then no longer succeed. Where a write that changes
        nothing keeps the etag, a tag is bumped and the write done again.
        """
        etag = None
        for attempt in range(WRITES_MAX):
            before = await access.pool()
            address = await access.find(before, self._request)
            _not_elsewhere(document, access.spec, address, self._request.speaker)
            etag = etag or before.etag
            self.missing = "the write of Down has not succeeded"
            after = await access.write(self._request, before, before.with_state(address, AdminState.DOWN))
            if after.etag != etag:
                return address, after
            self.missing = "the etag did not change with the write of Down"
            if attempt + 1 < WRITES_MAX:
                await access.bump(self._request.epoch)
        raise Unavailable(f"the etag still is {etag}")

    async def _seen_down(self, access: _Access, rule: str, address: _Address) -> None:
        """Waits for `Down_Admin`; where the health action stays empty, for `settle` without a word against it.

        Ends with the timeout of the whole fence. An action that fails is no empty one: it says nothing either way.
        """
        now = asyncio.get_running_loop().time
        quiet_since = now()
        self.missing = f"the health action of rule {rule} has not said {DOWN_ADMIN}"
        while True:
            pause = access.poll
            try:
                reason = _reason(await access.health(rule), address, self._request.speaker)
            except AzureError as error:
                quiet_since = now()
                refused = translated("the last time", error)
                self.missing = f"the health action of rule {rule} does not answer ({refused})"
                pause = max(pause, refused.retry_after.total_seconds())
            else:
                if reason == DOWN_ADMIN:
                    return
                if reason is None and now() - quiet_since >= self._request.settle.total_seconds():
                    return
                if reason is not None:
                    quiet_since = now()
                said = f"says {reason} and not {DOWN_ADMIN}" if reason else "is empty and the wait is not over"
                self.missing = f"the health action of rule {rule} {said}"
            await asyncio.sleep(pause)


async def _rows_in_time(access: _Access, rule: str, timeout: timedelta) -> tuple[_Row, ...]:
    try:
        async with calling(f"asking for the health of rule {rule}", timeout):
            return await access.health(rule)
    except Transient:
        return ()


def _pool(document: Json, body: Json) -> _Pool:
    items = (document.get("properties") or {}).get("loadBalancerBackendAddresses") or ()
    if not document.get("etag"):
        raise Unavailable(f"pool {document.get('name')} was answered without an etag")
    return _Pool(str(document["etag"]), tuple(map(_pool_address, items)), body)


def _pool_address(item: Json) -> _Address:
    facts = item.get("properties") or {}
    interface = (facts.get("networkInterfaceIPConfiguration") or {}).get("id")
    return _Address(
        name=str(item.get("name")),
        ip=facts.get("ipAddress") or None,
        interface=interface.casefold() if interface else None,
        admin_state=_admin_state(facts.get("adminState"), str(item.get("name"))),
    )


def _admin_state(text: str | None, name: str) -> AdminState:
    for state in AdminState:
        if state.value.casefold() == (text or AdminState.NONE.value).casefold():
            return state
    raise Unavailable(f"{name} has adminState {text!r}, which Hopkeeper does not know", LATER)


def _row(item: Json) -> _Row:
    interface = item.get("networkInterfaceIPConfigurationId")
    return _Row(item.get("ipAddress") or None, interface.casefold() if interface else None, item.get("reason") or None)


def _reason(rows: tuple[_Row, ...], address: _Address, speaker: Speaker) -> str | None:
    """What health says of the address; of several rows, one that does not agree that it is down by adminState."""
    ip = address.ip or str(speaker.address)
    mine = (row for row in rows if row.ip == ip or (row.interface and row.interface == address.interface))
    reasons = [row.reason for row in mine if row.reason]
    return next((reason for reason in reasons if reason != DOWN_ADMIN), next(iter(reasons), None))


def _frontend(document: Json, name: str) -> IPv4Address:
    for item in (document.get("properties") or {}).get("frontendIPConfigurations") or ():
        if str(item.get("name")).casefold() == name.casefold():
            text = (item.get("properties") or {}).get("privateIPAddress")
            try:
                return IPv4Address(str(text))
            except AddressValueError as error:
                raise Unavailable(f"frontend {name} of {document.get('name')} has no private IPv4", LATER) from error
    raise Unavailable(f"{document.get('name')} has no frontend {name}", LATER)


def _rules_of(document: Json, pool: str) -> tuple[Json, ...]:
    """The rules that send flows to the pool."""

    def uses(rule: Json) -> bool:
        facts = rule.get("properties") or {}
        pools = [facts.get("backendAddressPool") or {}, *(facts.get("backendAddressPools") or ())]
        return any(_last(reference) == pool.casefold() for reference in pools)

    return tuple(filter(uses, (document.get("properties") or {}).get("loadBalancingRules") or ()))


def _fencing_rules(document: Json, spec: LoadBalancer) -> tuple[str, ...]:
    """Names of the rules that use the service's pool with the service's probe: the first one's health is asked for."""
    rules = _rules_of(document, spec.backend_pool)
    probe = spec.probe.casefold()
    return tuple(str(r["name"]) for r in rules if _last((r.get("properties") or {}).get("probe") or {}) == probe)


def _provable(document: Json, spec: LoadBalancer) -> str:
    """The rule whose health proves a fence. Raises Unavailable where adminState would not stop every new flow."""
    names = _fencing_rules(document, spec)
    if not names:
        raise Unavailable(f"no rule joins pool {spec.backend_pool} and probe {spec.probe}", LATER)
    for rule in _rules_of(document, spec.backend_pool):
        if not (rule.get("properties") or {}).get("probe"):
            raise Unavailable(f"rule {rule.get('name')} has no probe, and there adminState does nothing", LATER)
    return names[0]


def _not_elsewhere(document: Json, spec: LoadBalancer, address: _Address, speaker: Speaker) -> None:
    """Raises Unavailable where a rule reaches the member through another pool of this load balancer as well."""
    for item in (document.get("properties") or {}).get("backendAddressPools") or ():
        name = str(item.get("name"))
        if name.casefold() == spec.backend_pool.casefold() or not _rules_of(document, name):
            continue
        for other in map(_pool_address, (item.get("properties") or {}).get("loadBalancerBackendAddresses") or ()):
            if other.ip == str(speaker.address) or (other.interface and other.interface == address.interface):
                raise Unavailable(f"{speaker.name} is also in pool {name}, where this fence does nothing", LATER)


def _last(reference: Json) -> str:
    return str(reference.get("id") or "").rsplit("/", 1)[-1].casefold()
