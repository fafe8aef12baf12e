"""What ARM's documents say of a load balancer's backend pool: addresses, rules, health rows. Parsing only, no requests.

Raises Unavailable where a document says something of a member that Hopkeeper does not understand: nothing is guessed.
What it says of other addresses, or leaves out, keeps nobody from being read.
"""

from copy import deepcopy
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from function_app.adapters.arm.client import LATER, Json, facts_of, name_of, objected
from function_app.domain.base.errors import Unavailable
from function_app.domain.service.observation import AdminState
from function_app.domain.topology.model import LoadBalancer, Member, Speaker
from function_app.reconcile.ports import DOWN_ADMIN


@dataclass(frozen=True, slots=True)
class Address:
    """A backend address of the pool. `interface` is the id of a NIC's IP configuration, lower case."""

    name: str
    ip: str | None
    interface: str | None
    state: str
    """`adminState` as it was answered."""

    @property
    def admin_state(self) -> AdminState:
        """Raises Unavailable for a state that is not known."""
        for state in AdminState:
            if state.value.casefold() == self.state.casefold():
                return state
        raise Unavailable(f"{self.name} has adminState {self.state!r}, which Hopkeeper does not know", LATER)


@dataclass(frozen=True, slots=True)
class Row:
    """What a rule's health action says of one backend address."""

    ip: str | None
    interface: str | None
    reason: str | None
    """None where there is none, or where the row contradicts itself: down by adminState, and Up."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool as read: `body` is what a write sends back."""

    etag: str
    addresses: tuple[Address, ...]
    body: Json

    @property
    def membership(self) -> frozenset[tuple[str, str | None, str | None]]:
        return frozenset((a.name.casefold(), a.ip, a.interface) for a in self.addresses)

    def find(self, member: Member, speaker: Speaker, rows: tuple[Row, ...]) -> Address | None:
        """The member's address by its IP; where the pool shows none, by the topology's name or the NIC's row of health."""
        hidden = tuple(a for a in self.addresses if a.ip is None)
        interfaces = {row.interface for row in rows if row.ip == str(speaker.address) and row.interface}
        by_ip = (a for a in self.addresses if a.ip == str(speaker.address))
        by_name = (a for a in hidden if member.backend and a.name.casefold() == member.backend.casefold())
        by_interface = (a for a in hidden if a.interface in interfaces)
        return next(by_ip, None) or next(by_name, None) or next(by_interface, None)

    def with_state(self, address: Address, state: AdminState) -> Json:
        """The whole pool as read with only this address's adminState changed. Raises Unavailable for one without a name."""
        body = deepcopy(self.body)
        items = body["properties"]["loadBalancerBackendAddresses"]
        mine = next((item for item in items if item.get("name") == address.name), None)
        if mine is None:
            raise Unavailable(
                f"the address {address.ip or address.interface} of the pool has no name to write to", LATER
            )
        mine["properties"] = {**(mine.get("properties") or {}), "adminState": state.value}
        return body


def pool_of(document: Json, body: Json) -> Pool:
    """The pool of a GET; `body` is the same document without what only ARM may write."""
    items = facts_of(document).get("loadBalancerBackendAddresses") or ()
    if not document.get("etag"):
        raise Unavailable(f"pool {document.get('name')} was answered without an etag")
    return Pool(str(document["etag"]), tuple(map(_address, items)), body)


def _address(item: Json) -> Address:
    facts = facts_of(item)
    interface = (facts.get("networkInterfaceIPConfiguration") or {}).get("id")
    state = facts.get("adminState")
    return Address(
        name=str(item.get("name") or ""),
        ip=facts.get("ipAddress") or None,
        interface=interface.casefold() if interface else None,
        state=AdminState.NONE.value if state in (None, "") else str(state),
    )


def rows_of(health: Json) -> tuple[Row, ...]:
    """The answer of a rule's health action."""
    return tuple(map(_row, health.get("loadBalancerBackendAddresses") or ()))


def _row(item: Json) -> Row:
    interface = objected(item).get("networkInterfaceIPConfigurationId")
    reason = item.get("reason") or None
    if reason == DOWN_ADMIN and str(item.get("state") or "Down").casefold() != "down":
        reason = None
    return Row(item.get("ipAddress") or None, interface.casefold() if interface else None, reason)


def reason_of(rows: tuple[Row, ...], address: Address, speaker: Speaker) -> str | None:
    """What health says of the address; None, which proves nothing, where a row of its tells no reason. Of several reasons,
    one that does not agree that it is down by adminState."""
    ip = address.ip or str(speaker.address)
    mine = (row for row in rows if row.ip == ip or (row.interface and row.interface == address.interface))
    reasons = {row.reason for row in mine}
    if None in reasons or not reasons:
        return None
    return next((reason for reason in sorted(filter(None, reasons)) if reason != DOWN_ADMIN), DOWN_ADMIN)


def frontend_of(document: Json, name: str) -> IPv4Address:
    """The private address of the load balancer's frontend with this name."""
    for item in facts_of(document).get("frontendIPConfigurations") or ():
        if name_of(item).casefold() == name.casefold():
            text = facts_of(item).get("privateIPAddress")
            try:
                return IPv4Address(str(text))
            except AddressValueError as error:
                raise Unavailable(f"frontend {name} of {document.get('name')} has no private IPv4", LATER) from error
    raise Unavailable(f"{document.get('name')} has no frontend {name}", LATER)


def fencing_rule(document: Json, spec: LoadBalancer) -> str | None:
    """The first rule that uses the service's pool with the service's probe: its health is asked for."""
    probe = spec.probe.casefold()
    rules = (rule for rule in _rules(document, spec.backend_pool) if _last(facts_of(rule).get("probe") or {}) == probe)
    return next((name for name in map(name_of, rules) if name), None)


def unprovable(document: Json, spec: LoadBalancer, address: Address, speaker: Speaker) -> str | None:
    """Why adminState in the service's pool would not stop every new flow to this address, or could not be seen to."""
    if fencing_rule(document, spec) is None:
        return f"no rule joins pool {spec.backend_pool} and probe {spec.probe}"
    for rule in _rules(document, spec.backend_pool):
        if not facts_of(rule).get("probe"):
            return f"rule {name_of(rule)} has no probe, and there adminState does nothing"
    for other in facts_of(document).get("backendAddressPools") or ():
        name = name_of(other)
        if name.casefold() != spec.backend_pool.casefold() and _rules(document, name):
            addresses = map(_address, facts_of(other).get("loadBalancerBackendAddresses") or ())
            if any(_same(one, address, speaker) for one in addresses):
                return f"{speaker.name} is also in pool {name}, where this fence does nothing"
    return None


def _same(one: Address, address: Address, speaker: Speaker) -> bool:
    return one.ip == str(speaker.address) or (one.interface is not None and one.interface == address.interface)


def _rules(document: Json, pool: str) -> tuple[Json, ...]:
    """The rules that send flows to the pool."""

    def uses(rule: Json) -> bool:
        pools = [facts_of(rule).get("backendAddressPool") or {}, *(facts_of(rule).get("backendAddressPools") or ())]
        return any(_last(reference) == pool.casefold() for reference in pools)

    return tuple(filter(uses, facts_of(document).get("loadBalancingRules") or ()))


def _last(reference: Json) -> str:
    return str(reference.get("id") or "").rsplit("/", 1)[-1].casefold()
