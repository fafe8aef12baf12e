"""A world without a fault, for preflight: a document with a service of every kind, and all that is known beside it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from function_app.domain.peerings.model import Peering, Provisioning, RouteServerReading
from function_app.domain.preflight.facts import (
    AgentFacts,
    AppSubnetFacts,
    ArmFacts,
    Facts,
    InterfaceFacts,
    Rehearsed,
    RouteFacts,
)
from function_app.domain.preflight.summary import Report, lint
from function_app.domain.service.balancer import AddressFacts, BalancerFacts, PoolFacts, ProbeFacts, RuleFacts
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.domain.topology.peering_names import peering_name
from tests.builders import NOW, SUB

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
INSTANCES = {
    "rs": (IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5")),
    "rs-far": (IPv4Address("10.9.2.4"), IPv4Address("10.9.2.5")),
}
ADDRESSES = {"nva-a": "10.0.1.4", "nva-b": "10.0.1.5", "nva-c": "10.0.1.6", "nva-d": "10.0.1.7"}
FRONTENDS = {"fw": "10.0.1.100", "transit": "10.0.1.101"}
OUTWARD = {"neighbours": [{"address": "192.0.2.1", "asn": 65200}], "prefixes": ["10.0.0.0/16"]}


def _speaker(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": address,
        "asn": 65001,
        "peersWith": ["rs"],
        "agent": {"port": 8443, "probe": 8080, "certificate": PEM},
        "interface": f"{SUB}/networkInterfaces/{name}-nic",
        **more,
    }


def _balanced(name: str, mode: str, prefix: str, members: tuple[str, str]) -> dict[str, Any]:
    balancer = {"id": f"{SUB}/loadBalancers/{name}", "frontend": "fe", "backendPool": "nvas", "probe": "hopkeeper"}
    return {
        "name": name,
        "mode": mode,
        "prefixes": [prefix],
        "nextHop": {"loadBalancer": balancer},
        "members": [{"speaker": member, "priority": 200 - 100 * i} for i, member in enumerate(members)],
    }


def clean_document() -> dict[str, Any]:
    """A firewall behind a load balancer, an active-active transit, a ranked service, and a relay between two hubs."""
    return {
        "schema": "hopkeeper/v1",
        "name": "hub",
        "networks": ["10.0.0.0/16"],
        "routeServers": [{"name": n, "id": f"{SUB}/virtualHubs/{n}"} for n in INSTANCES],
        "speakers": [
            *(_speaker(name, address) for name, address in ADDRESSES.items()),
            _speaker("ws1", "10.0.1.14"),
            _speaker("ws2", "10.0.1.15"),
            {
                "name": "relay",
                "address": "10.0.1.20",
                "asn": 65020,
                "peersWith": ["rs", "rs-far"],
                "relays": [{"from": "rs-far", "to": "rs", "prefixes": ["10.9.0.0/16"]}],
                "asOverride": True,
            },
        ],
        "services": [
            _balanced("fw", "active-passive", "0.0.0.0/0", ("nva-a", "nva-b")) | {"snat": True},
            _balanced("transit", "active-active", "172.16.0.0/12", ("nva-c", "nva-d")) | {"outward": OUTWARD},
            {
                "name": "vpn",
                "mode": "active-passive",
                "prefixes": ["192.168.0.0/16"],
                "nextHop": {"self": {}},
                "members": [{"speaker": "ws1", "priority": 200}, {"speaker": "ws2"}],
                "snat": True,
            },
        ],
        "timing": {"bgpHold": "PT9S"},
    }


def clean_balancer(service: str, members: tuple[str, str]) -> BalancerFacts:
    rule = RuleFacts(
        name="all", protocol="All", frontend="fe", frontend_port=0, backend_port=0, pools=("nvas",), probe="hopkeeper",
        distribution="SourceIP",
    )  # fmt: skip
    probe = ProbeFacts(
        name="hopkeeper", protocol="Http", port=8080, path=f"/probe/{service}", interval_seconds=5, threshold=2,
        no_healthy_backends="AllProbedDown",
    )  # fmt: skip
    addresses = tuple(AddressFacts(name=name, ip=IPv4Address(ADDRESSES[name])) for name in members)
    return BalancerFacts(
        location="uksouth",
        frontends=(IPv4Address(FRONTENDS[service]),),
        rules=(rule,),
        probes=(probe,),
        pools=(PoolFacts(name="nvas", addresses=addresses),),
    )


def clean_subnet() -> AppSubnetFacts:
    """The app's own, with its own way out."""
    internet = RouteFacts(name="internet", to="0.0.0.0/0", next_hop="Internet")
    return AppSubnetFacts(
        id=f"{SUB}/virtualNetworks/hub/subnets/app",
        table=f"{SUB}/routeTables/app",
        routes=(internet,),
        nat_gateway=True,
    )


def _peering(topology: str, speaker: str, address: str, asn: int) -> Peering:
    return Peering(peering_name(topology, speaker), IPv4Address(address), asn, Provisioning.SUCCEEDED)


def clean_facts() -> Facts:
    doc = clean_document()
    up = {instance: True for instances in INSTANCES.values() for instance in instances}
    interface = InterfaceFacts(forwards=True, network=(IPv4Network("10.0.0.0/16"),), default_route=True)
    commanded = [s["name"] for s in doc["speakers"] if "agent" in s]
    return Facts(
        arm=ArmFacts(
            at=NOW,
            locations={"rs": "UK South", "rs-far": "ukwest"},
            balancers={
                "fw": clean_balancer("fw", ("nva-a", "nva-b")),
                "transit": clean_balancer("transit", ("nva-c", "nva-d")),
            },
            interfaces=dict.fromkeys(commanded, interface),
            app_subnet=clean_subnet(),
        ),
        route_servers={
            name: RouteServerReading(
                INSTANCES[name],
                tuple(
                    _peering("hub", s["name"], s["address"], s["asn"])
                    for s in doc["speakers"]
                    if name in s["peersWith"]
                ),
            )
            for name in INSTANCES
        },
        agents={
            name: AgentFacts("0.1.0", timedelta(milliseconds=80), up, peers=frozenset(commanded)) for name in commanded
        },
        rehearsals={"fw": Rehearsed(member="nva-b", at=NOW, seconds=4.2)},
    )


@dataclass
class World:
    """The clean world, to be spoilt in one place: `doc` is plain data, `facts` are replaced."""

    doc: dict[str, Any]
    facts: Facts

    @classmethod
    def clean(cls) -> "World":
        return cls(clean_document(), clean_facts())

    @property
    def topology(self) -> Topology:
        return from_plain(self.doc, Place())

    def report(self) -> Report:
        return lint(self.topology, self.facts)

    def arm(self, **changes: Any) -> None:
        assert self.facts.arm is not None
        self.facts = replace(self.facts, arm=msgspec.structs.replace(self.facts.arm, **changes))

    def balancer(self, service: str = "fw", **changes: Any) -> None:
        assert self.facts.arm is not None
        seen = self.facts.arm.balancers
        self.arm(balancers={**seen, service: msgspec.structs.replace(seen[service], **changes)})

    def rule(self, service: str = "fw", **changes: Any) -> None:
        (rule,) = self._balancer(service).rules
        self.balancer(service, rules=(msgspec.structs.replace(rule, **changes),))

    def probe(self, **changes: Any) -> None:
        (probe,) = self._balancer("fw").probes
        self.balancer("fw", probes=(msgspec.structs.replace(probe, **changes),))

    def pool(self, *addresses: AddressFacts) -> None:
        self.balancer("fw", pools=(PoolFacts(name="nvas", addresses=addresses),))

    def addresses(self) -> tuple[AddressFacts, ...]:
        return self._balancer("fw").pools[0].addresses

    def subnet(self, *routes: RouteFacts, **changes: Any) -> None:
        self.arm(app_subnet=msgspec.structs.replace(clean_subnet(), routes=routes, **changes))

    def interface(self, speaker: str, **changes: Any) -> None:
        assert self.facts.arm is not None
        seen = self.facts.arm.interfaces
        self.arm(interfaces={**seen, speaker: msgspec.structs.replace(seen[speaker], **changes)})

    def agent(self, speaker: str, **changes: Any) -> None:
        seen = self.facts.agents
        self.facts = replace(self.facts, agents={**seen, speaker: replace(seen[speaker], **changes)})

    def silence(self, speaker: str) -> None:
        self.facts = replace(self.facts, agents_unread={**self.facts.agents_unread, speaker: "no answer in time"})

    def peerings(self, server: str, *more: Peering) -> None:
        seen = self.facts.route_servers
        reading = replace(seen[server], peerings=(*seen[server].peerings, *more))
        self.facts = replace(self.facts, route_servers={**seen, server: reading})

    def rehearsed(self, last: Rehearsed | None) -> None:
        self.facts = replace(self.facts, rehearsals={"fw": last})

    def service(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(s for s in self.doc["services"] if s["name"] == name)
        return found

    def speaker(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(s for s in self.doc["speakers"] if s["name"] == name)
        return found

    def _balancer(self, service: str) -> BalancerFacts:
        assert self.facts.arm is not None
        return self.facts.arm.balancers[service]
