"""ARM's documents of a load balancer as plain values: the one place that knows their keys. No requests, no decisions.

Raises ValueError where a part is not of its kind at all (`facts_of`); a key that is missing is what ARM leaves out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from function_app.adapters.arm.document import Json, facts_of, ipv4, items_of, last_of, name_of, objected
from function_app.domain.service.balancer import (
    AddressFacts,
    BalancerFacts,
    FlowFacts,
    PoolFacts,
    ProbeFacts,
    RuleFacts,
)
from function_app.domain.service.bounds import Probe
from function_app.domain.service.observation import AdminState
from function_app.reconcile.ports import DOWN_ADMIN


@dataclass(frozen=True, slots=True)
class Address:
    """A backend address of a pool. `interface` is the id of a network interface's IP configuration, lower case."""

    name: str
    ip: str | None
    """As ARM spells it, IPv6 too; None in a pool of network interfaces."""
    interface: str | None
    state: str
    """`adminState` as ARM spells it, `None` where it is missing or empty."""

    @property
    def facts(self) -> AddressFacts:
        state = self.state.casefold()
        is_down, is_up = state == AdminState.DOWN.casefold(), state == AdminState.UP.casefold()
        return AddressFacts(name=self.name, ip=ipv4(self.ip), interface=self.interface, is_down=is_down, is_up=is_up)


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """What a rule's health action says of one backend address."""

    ip: str | None
    interface: str | None
    reason: str | None
    """None where there is none, or where the row contradicts itself: down by adminState, and Up."""


def frontends(document: Json) -> Iterator[tuple[str, str | None]]:
    """Name and private address of every frontend, as ARM spells them."""
    for item in items_of(facts_of(document), "frontendIPConfigurations"):
        yield name_of(item), facts_of(item).get("privateIPAddress")


def flows_of(document: Json) -> FlowFacts:
    """Rules and pools: nothing that a fence does not need, so that nothing else can keep it from being judged."""
    facts = facts_of(document)
    return FlowFacts(
        rules=tuple(map(_rule, items_of(facts, "loadBalancingRules"))),
        pools=tuple(map(_pool, items_of(facts, "backendAddressPools"))),
    )


def no_healthy_backends(document: Json, probe: str) -> str | None:
    """`noHealthyBackendsBehavior` of the probe of that name; None where the document does not say, or is not understood."""
    its = _probe_named(document, probe)
    return str(facts_of(its).get("noHealthyBackendsBehavior") or "") or None if its else None


def noticed_within(document: Json, probe: str) -> timedelta | None:
    """How long the probe of that name takes at most to find out what a backend answers; None where it is not understood."""
    item = _probe_named(document, probe)
    try:
        its = _probe(item) if item else None
    except (TypeError, ValueError):
        return None
    if its is None or its.interval_seconds <= 0:
        return None
    return Probe(timedelta(seconds=its.interval_seconds), its.threshold).notices


def _probe_named(document: Json, name: str) -> Json | None:
    """Nothing of the other probes is read: none of them can keep this one from being understood."""
    probes = items_of(facts_of(document), "probes")
    return next((item for item in probes if name_of(item).casefold() == name.casefold()), None)


def balancer_of(document: Json) -> BalancerFacts:
    """All of it, as preflight judges it. Frontends without a private IPv4 are left out."""
    flows = flows_of(document)
    private = [ipv4(address) for _, address in frontends(document)]
    return BalancerFacts(
        location=str(document.get("location")),
        frontends=tuple(address for address in private if address is not None),
        rules=flows.rules,
        probes=tuple(map(_probe, items_of(facts_of(document), "probes"))),
        pools=flows.pools,
    )


def addresses_of(pool: Json) -> tuple[Address, ...]:
    """The backend addresses of one pool's document."""
    return tuple(map(_address, items_of(facts_of(pool), "loadBalancerBackendAddresses")))


def health_rows(answer: Json) -> tuple[BackendHealth, ...]:
    """The answer of a rule's health action."""
    return tuple(map(_health_row, items_of(answer, "loadBalancerBackendAddresses")))


def _pool(item: Json) -> PoolFacts:
    return PoolFacts(name=name_of(item), addresses=tuple(address.facts for address in addresses_of(item)))


def _rule(item: Json) -> RuleFacts:
    facts = facts_of(item)
    return RuleFacts(
        name=name_of(item),
        protocol=str(facts.get("protocol")),
        frontend=last_of(facts.get("frontendIPConfiguration")),
        frontend_port=_number(facts.get("frontendPort")),
        backend_port=_number(facts.get("backendPort")),
        pools=_pools_of_rule(facts),
        probe=last_of(facts.get("probe")) or None,
        distribution=str(facts.get("loadDistribution") or "Default"),
    )


def _pools_of_rule(facts: Json) -> tuple[str, ...]:
    """A rule names one pool, several, or one of them in both keys."""
    references = [facts.get("backendAddressPool"), *items_of(facts, "backendAddressPools")]
    return tuple(dict.fromkeys(filter(None, map(last_of, references))))


def _number(value: object) -> int | None:
    """0 where it is missing: ARM leaves it out for all ports."""
    try:
        return int(str(value or 0))
    except ValueError:
        return None


def _probe(item: Json) -> ProbeFacts:
    facts = facts_of(item)
    return ProbeFacts(
        name=name_of(item),
        protocol=str(facts.get("protocol")),
        port=int(facts.get("port") or 0),
        path=facts.get("requestPath"),
        interval_seconds=int(facts.get("intervalInSeconds") or 0),
        # `numberOfProbes` is what it was called before, and was not honoured (API reference of `probeThreshold`).
        threshold=int(facts.get("probeThreshold") or facts.get("numberOfProbes") or 1),
        no_healthy_backends=facts.get("noHealthyBackendsBehavior"),
    )


def _address(item: Json) -> Address:
    facts = facts_of(item)
    return Address(
        name=str(item.get("name") or ""),
        ip=facts.get("ipAddress") or None,
        interface=_lower((facts.get("networkInterfaceIPConfiguration") or {}).get("id")),
        state=str(facts.get("adminState") or AdminState.NONE.value),
    )


def _health_row(item: Json) -> BackendHealth:
    interface = _lower(objected(item).get("networkInterfaceIPConfigurationId"))
    reason = item.get("reason") or None
    if reason == DOWN_ADMIN and str(item.get("state") or "Down").casefold() != "down":
        reason = None
    return BackendHealth(item.get("ipAddress") or None, interface, reason)


def _lower(resource_id: object) -> str | None:
    return str(resource_id).casefold() if resource_id else None
