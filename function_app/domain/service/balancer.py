"""A load balancer as ARM describes it, as plain values: rules, probes, pools and backend addresses.

Values only, names as ARM spells them; they are compared without case, as ARM does. `provable` judges whether a fence
through it would hold, `preflight.balancer` whether it is configured as a failover needs it.
"""

from ipaddress import IPv4Address

from msgspec import Struct


class ProbeFacts(Struct, frozen=True, kw_only=True):
    """A load balancer's health probe."""

    name: str
    protocol: str
    port: int
    path: str | None = None
    interval_seconds: int
    threshold: int
    """Results in a row after which it changes a backend's state, up and down."""
    no_healthy_backends: str | None = None
    """`noHealthyBackendsBehavior`."""


class RuleFacts(Struct, frozen=True, kw_only=True):
    """A load-balancing rule, by the names of what it joins."""

    name: str
    protocol: str
    frontend: str
    frontend_port: int | None
    """None where ARM's value is no number."""
    backend_port: int | None
    pools: tuple[str, ...]
    probe: str | None = None
    distribution: str = "Default"
    """`loadDistribution`: Default is the five-tuple."""

    @property
    def all_ports(self) -> bool:
        return self.protocol.casefold() == "all" and self.frontend_port == self.backend_port == 0

    def probed_by(self, probe: str) -> bool:
        return self.probe is not None and self.probe.casefold() == probe.casefold()

    def sends_to(self, pool: str) -> bool:
        return pool.casefold() in [name.casefold() for name in self.pools]


class AddressFacts(Struct, frozen=True, kw_only=True):
    """A backend address: a pool of network interfaces shows no IP.

    `interface` is the id of a network interface's IP configuration, lower case.
    """

    name: str
    ip: IPv4Address | None = None
    interface: str | None = None
    is_down: bool = False
    is_up: bool = False
    """adminState Up: it gets new flows whatever its probe finds."""


class PoolFacts(Struct, frozen=True, kw_only=True):
    """A backend pool."""

    name: str
    addresses: tuple[AddressFacts, ...] = ()


class FlowFacts(Struct, frozen=True, kw_only=True):
    """What decides which backends new flows reach."""

    rules: tuple[RuleFacts, ...] = ()
    pools: tuple[PoolFacts, ...] = ()

    def pool(self, name: str) -> PoolFacts | None:
        return next((p for p in self.pools if p.name.casefold() == name.casefold()), None)

    def rules_of(self, pool: str) -> tuple[RuleFacts, ...]:
        """The rules that send flows to a pool."""
        return tuple(rule for rule in self.rules if rule.sends_to(pool))


class BalancerFacts(FlowFacts, frozen=True, kw_only=True):
    """A load balancer as configured."""

    location: str
    frontends: tuple[IPv4Address, ...] = ()
    probes: tuple[ProbeFacts, ...] = ()

    def probe(self, name: str) -> ProbeFacts | None:
        return next((p for p in self.probes if p.name.casefold() == name.casefold()), None)
