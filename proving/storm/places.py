"""The topologies that storms rage over: two to four members behind one load balancer or two, at three paces."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from typing import Any

import yaml

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology

EPOCH = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
FRONTEND = IPv4Address("10.0.1.100")
NETWORK = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network"

OUTWARD = {"neighbours": [{"address": "192.168.100.1", "asn": 64600}], "prefixes": ["10.0.0.0/16"]}

PACES: dict[str, dict[str, str]] = {
    "usual": {},
    "brisk": {
        "learnFor": "PT10S",
        "doubtPoll": "PT5S",
        "fenceSettle": "PT30S",
        "spacingStep": "PT5S",
        "silence": "PT0S",
    },
    "quick": {"learnFor": "PT2S", "doubtPoll": "PT2S", "fenceSettle": "PT8S", "spacingStep": "PT1S"},
}
"""Settings by pace; `quick` is for worlds whose data plane is quick as well. At the brisk one silence counts at once, whatever
the probe finds: so that members that serve, and that no command reaches, are fenced as well."""


OUTER = f"{NETWORK}/loadBalancers/outer"


def _sandwich(document: dict[str, Any]) -> None:
    outer = {"id": OUTER, "backendPool": "outside", "probe": "hopkeeper"}
    document["services"][0]["nextHop"]["loadBalancer"]["alsoBehind"] = [outer]


def _active_active(document: dict[str, Any]) -> None:
    service = document["services"][0]
    service |= {"mode": "active-active", "minHealthy": max(len(service["members"]) - 1, 1)}


def _preempt(document: dict[str, Any]) -> None:
    document["services"][0]["failover"] |= {"preempt": "ready", "returnAfter": "PT20S"}


def _witness(document: dict[str, Any]) -> None:
    witness = {"name": "watch-1", "address": "10.0.1.99", "asn": 65002, "agent": {"port": 8443}, "role": "witness"}
    document["speakers"].append(witness | {"peersWith": []})


def _bare(name: str) -> Callable[[dict[str, Any]], None]:
    def shaped(document: dict[str, Any]) -> None:
        next(speaker for speaker in document["speakers"] if speaker["name"] == name).pop("agent")

    return shaped


def _checked(document: dict[str, Any]) -> None:
    for speaker in document["speakers"]:
        if "agent" not in speaker:
            speaker["watch"] = {"kind": "tcp", "port": 443}


BARE = {f"nva-{letter}": f"bare-{letter}" for letter in "abcd"}
"""By member, the shape in which it has no agent."""
SHAPES: dict[str, Callable[[dict[str, Any]], None]] = {
    **{shape: _bare(name) for name, shape in BARE.items()},
    "checked": _checked,
    "sandwich": _sandwich,
    "active-active": _active_active,
    "preempt": _preempt,
    "witness": _witness,
}
"""What a document may have beside the service of every history."""


@cache
def place(members: int, pace: str, handover: str = "prompt", shape: tuple[str, ...] = ()) -> Topology:
    """A topology named `hub` with one service `fw`; members by falling priority. At the usual pace it has `outward`."""
    return decode(text_of(written(members, pace, handover, shape)), Place())


def text_of(document: dict[str, Any]) -> str:
    """As an operator writes it."""
    return yaml.safe_dump(document, sort_keys=False)


def written(members: int, pace: str, handover: str = "prompt", shape: tuple[str, ...] = ()) -> dict[str, Any]:
    """The document of `place`, to be changed."""
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    document: dict[str, Any] = {
        "schema": "hopkeeper/v1",
        "name": "hub",
        "networks": ["10.0.0.0/16"],
        "routeServers": [{"name": "rs", "id": f"{NETWORK}/virtualHubs/rs"}],
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
                        "id": f"{NETWORK}/loadBalancers/ilb",
                        "frontend": "fe",
                        "backendPool": "nvas",
                        "probe": "hopkeeper",
                    }
                },
                "members": [{"speaker": n, "priority": 200 - 10 * i} for i, n in enumerate(names)],
                "failover": {"rehearse": "ordered"},
                "handover": handover,
            }
        ],
        "timing": PACES[pace],
    }
    if pace == "usual":
        document["services"][0]["outward"] = OUTWARD
    for name in shape:
        SHAPES[name](document)
    return document
