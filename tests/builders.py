"""Builds the values that tests are about: a topology in three lines, an agent's status in one."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import yaml

from function_app.domain.service.advertise import next_advertised
from function_app.domain.service.observation import (
    AdminState,
    AgentService,
    AgentStatus,
    Backend,
    BalancerReading,
    PeerView,
    Role,
    Value,
)
from function_app.domain.service.record import Operation, Phase, Record
from function_app.domain.service.steps import Advertisement
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Announcement, Topology

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
SUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network"
FRONTEND = IPv4Address("10.0.1.100")
QUICK = {"learnFor": "PT1S", "learnRounds": 2, "doubtPoll": "PT1S", "fenceSettle": "PT0.1S", "spacingStep": "PT0.1S"}


def by_itself(*prefixes: IPv4Network) -> tuple[Announcement, ...]:
    """What a speaker announces by its own configuration, next hop itself."""
    return tuple(Announcement(prefix=prefix) for prefix in prefixes)


def document(members: int = 2, **changes: Any) -> dict[str, Any]:
    """The YAML document of one service with `members` NVAs, as plain data to be changed before it is decoded."""
    names = [f"nva-{letter}" for letter in "abcdefghij"[:members]]
    return {
        "schema": "hopkeeper/v1",
        "name": "hub",
        "networks": ["10.0.0.0/16"],
        "routeServers": [{"name": "rs", "id": f"{SUB}/virtualHubs/rs"}],
        "speakers": [
            {"name": n, "address": f"10.0.1.{4 + i}", "asn": 65001, "agent": {"port": 8443}, "peersWith": ["rs"]}
            for i, n in enumerate(names)
        ],
        "services": [
            {
                "name": "fw",
                "mode": "active-passive",
                "prefixes": ["0.0.0.0/0"],
                "nextHop": {
                    "loadBalancer": {
                        "id": f"{SUB}/loadBalancers/ilb",
                        "frontend": "fe",
                        "backendPool": "nvas",
                        "probe": "hopkeeper",
                    }
                },
                "members": [{"speaker": n, "priority": 200 - 10 * i} for i, n in enumerate(names)],
            }
        ],
        "timing": dict(QUICK),
    } | changes


def ranked(members: int = 2, announcers: tuple[str, ...] = ()) -> Topology:
    return from_plain(ranked_document(members, announcers), Place())


def ranked_document(members: int = 2, announcers: tuple[str, ...] = ()) -> dict[str, Any]:
    """The same service without a load balancer: members announce themselves, or `announcers` the holder."""
    doc = document(members)
    doc["services"][0]["nextHop"] = {"member": {"announcers": list(announcers)}} if announcers else {"self": {}}
    doc["speakers"] += [
        {"name": n, "address": f"10.0.1.{40 + i}", "asn": 65001, "agent": {"port": 8443}, "peersWith": ["rs"]}
        for i, n in enumerate(announcers)
    ]
    return doc


def topology(members: int = 2, **changes: Any) -> Topology:
    return from_plain(document(members, **changes), Place())


def text(doc: Any) -> str:
    return yaml.dump(doc, Dumper=_PlainDumper, sort_keys=False)


class _PlainDumper(yaml.SafeDumper):
    """Writes shared values out in full: the product refuses aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def status(
    epoch: int = 0,
    role: Role = Role.STANDBY,
    *,
    seq: int = 0,
    fatal: tuple[str, ...] = (),
    dead_peers: tuple[str, ...] = (),
    peers: tuple[str, ...] = (),
    service: str = "fw",
    boot: str = "boot-1",
    sessions_up: bool = True,
) -> AgentStatus:
    """An agent that answers. `dead_peers` are those it misses on gossip and probe port, `peers` those it hears."""
    bad, ok = PeerView(Value.BAD, Value.BAD), PeerView(Value.OK, Value.UNKNOWN)
    mine = AgentService(
        epoch, seq, role, answering=role is Role.SERVING and not fatal, advertised=wanted(), warranted=epoch
    )
    return AgentStatus(
        boot_id=boot,
        clock=NOW,
        services={service: mine},
        fatal=fatal,
        peers=dict.fromkeys(dead_peers, bad) | dict.fromkeys(peers, ok),
        sessions={IPv4Address("10.0.2.4"): sessions_up, IPv4Address("10.0.2.5"): sessions_up},
        version="test",
    )


def wanted() -> tuple[Advertisement, ...]:
    """What every member should announce for the service that `document` makes."""
    return (Advertisement(IPv4Network("0.0.0.0/0"), FRONTEND),)


def balancer(**reasons: str) -> BalancerReading:
    """A load balancer whose members have these health reasons: `nva_a="Up_Probe_Success"`."""
    backends = {
        name.replace("_", "-"): Backend(AdminState.DOWN if reason == "Down_Admin" else AdminState.NONE, reason)
        for name, reason in reasons.items()
    }
    return BalancerReading(etag='W/"1"', frontend=FRONTEND, backends=backends)


def stable(holder: str = "nva-a", epoch: int = 3, **changes: Any) -> Record:
    """A service at rest: `holder` serves at `epoch`, no other member may, all announce."""
    values: dict[str, Any] = {
        "service": "fw",
        "epoch": epoch,
        "phase": Phase.STABLE,
        "target": holder,
        "may_serve": frozenset({holder}),
        "operation": Operation(
            id=f"fw-{epoch}",
            kind="adopt",
            reason="",
            started=NOW,
            deadline=NOW + timedelta(seconds=120),
            confirmed=True,
        ),
    }
    return next_advertised(Record(**(values | changes)), wanted())
