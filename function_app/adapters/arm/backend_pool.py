"""A load balancer's backend pool as a fence needs it: which address is a member, its adminState, the body of a write.

Parsing is `balancer_document`, requests are `load_balancer`. Raises Unavailable where a document says something of a
member that Hopkeeper does not understand: nothing is guessed. What it says of other addresses, or leaves out, keeps no
member from being read.
"""

from copy import deepcopy
from dataclasses import dataclass
from ipaddress import IPv4Address

from function_app.adapters.arm.balancer_document import Address, BackendHealth, addresses_of, frontends
from function_app.adapters.arm.client import LATER
from function_app.adapters.arm.document import Json, ipv4
from function_app.domain.base.errors import Unavailable
from function_app.domain.service.observation import AdminState
from function_app.domain.topology.model import Member, Speaker
from function_app.reconcile.ports import DOWN_ADMIN


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool as read: `body` is what a write sends back."""

    etag: str
    addresses: tuple[Address, ...]
    body: Json

    @property
    def membership(self) -> frozenset[tuple[str, str | None, str | None]]:
        """Name, IP and IP configuration of every address: what no write of adminState may change."""
        return frozenset((a.name.casefold(), a.ip, a.interface) for a in self.addresses)

    def find(self, member: Member, speaker: Speaker, rows: tuple[BackendHealth, ...]) -> Address | None:
        """The member's address, or None.

        | the pool shows | it is known by                                                                            |
        |----------------|-------------------------------------------------------------------------------------------|
        | its IP         | the IP                                                                                    |
        | no IP          | the name that the topology gives (`backend`), else the IP configuration that health shows |
        |                | with the IP                                                                               |
        """
        ip = str(speaker.address)
        shown = [address for address in self.addresses if address.ip == ip]
        return shown[0] if shown else self._find_hidden(member.backend, _interfaces_of(rows, ip))

    def _find_hidden(self, backend: str | None, interfaces: frozenset[str]) -> Address | None:
        hidden = [address for address in self.addresses if address.ip is None]
        named = [address for address in hidden if backend and address.name.casefold() == backend.casefold()]
        attached = [address for address in hidden if address.interface in interfaces]
        return next(iter([*named, *attached]), None)

    def others(self, members: tuple[Address | None, ...], rows: tuple[BackendHealth, ...]) -> tuple[Address, ...]:
        """The addresses that are none of the members', as far as that is known: one without an IP needs a row of health."""
        named = {row.interface for row in rows if row.ip and row.interface}
        return tuple(a for a in self.addresses if a not in members and (a.ip is not None or a.interface in named))

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
    if not document.get("etag"):
        raise Unavailable(f"pool {document.get('name')} was answered without an etag")
    return Pool(str(document["etag"]), addresses_of(document), body)


def admin_state_of(address: Address) -> AdminState:
    """Raises Unavailable for a state that Hopkeeper does not know."""
    for state in AdminState:
        if state.value.casefold() == address.state.casefold():
            return state
    raise Unavailable(f"{address.name} has adminState {address.state!r}, which Hopkeeper does not know", LATER)


def reason_of(rows: tuple[BackendHealth, ...], address: Address | None, speaker: Speaker) -> str | None:
    """The reason code that health gives for the address; without one, for the member's IP.

    | its rows                              | the reason              |
    |---------------------------------------|-------------------------|
    | none, or one of them without a reason | None: it proves nothing |
    | one that is not `Down_Admin`          | that one                |
    | all `Down_Admin`                      | `Down_Admin`            |
    """
    ip = (address.ip if address else None) or str(speaker.address)
    interface = address.interface if address else None
    reasons = {row.reason for row in rows if row.ip == ip or (row.interface and row.interface == interface)}
    if None in reasons or not reasons:
        return None
    return next((reason for reason in sorted(filter(None, reasons)) if reason != DOWN_ADMIN), DOWN_ADMIN)


def frontend_of(document: Json, name: str) -> IPv4Address:
    """The private address of the load balancer's frontend with this name. Raises Unavailable."""
    for found, private in frontends(document):
        if found.casefold() == name.casefold():
            if (address := ipv4(private)) is None:
                raise Unavailable(f"frontend {name} of {document.get('name')} has no private IPv4", LATER)
            return address
    raise Unavailable(f"{document.get('name')} has no frontend {name}", LATER)


def _interfaces_of(rows: tuple[BackendHealth, ...], ip: str) -> frozenset[str]:
    """The IP configurations that health shows with this IP."""
    return frozenset(row.interface for row in rows if row.ip == ip and row.interface)
