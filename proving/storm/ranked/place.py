"""The topologies of ranked storms: two to four members that announce themselves, or one or two route injectors for them."""

from functools import cache
from typing import Any

import yaml

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from proving.storm.places import NETWORK

PACES: dict[str, dict[str, str]] = {
    "usual": {},
    "brisk": {"bgpHold": "PT60S", "damping": "PT20S", "doubtPoll": "PT5S", "spacingStep": "PT5S"},
    "quick": {"bgpHold": "PT9S", "damping": "PT5S", "doubtPoll": "PT2S", "spacingStep": "PT1S", "learnFor": "PT40S"},
}
"""Settings by pace. `learnFor` is always longer than a command lives."""


@cache
def ranked_place(members: int, injectors: int, pace: str, shape: tuple[str, ...] = ()) -> Topology:
    """A topology named `hub` with one service `fw`: of kind `member` where there are injectors, else `self`. With
    `two-servers` in its `shape`, announcers peer with two Route Servers."""
    servers = ["rs", "rs-2"] if "two-servers" in shape else ["rs"]
    names = [f"nva-{letter}" for letter in "abcd"[:members]]
    watches = [f"watch-{i + 1}" for i in range(injectors)]
    of_members = [] if injectors else servers
    peers: dict[str, Any] = {n: [*of_members] for n in names} | {n: [*servers] for n in watches}
    document: dict[str, Any] = {
        "schema": "hopkeeper/v1",
        "name": "hub",
        "networks": ["10.0.0.0/16"],
        "routeServers": [{"name": n, "id": f"{NETWORK}/virtualHubs/{n}"} for n in servers],
        "speakers": [
            {"name": n, "address": f"10.0.1.{4 + i}", "asn": 65001, "agent": {"port": 8443}, "peersWith": peers[n]}
            for i, n in enumerate(peers)
        ],
        "services": [
            {
                "name": "fw",
                "mode": "active-passive",
                "prefixes": ["0.0.0.0/0"],
                "nextHop": {"member": {"announcers": watches}} if injectors else {"self": {}},
                "members": [{"speaker": n, "priority": 200 - 10 * i} for i, n in enumerate(names)],
            }
        ],
        "timing": PACES[pace],
    }
    return decode(yaml.safe_dump(document, sort_keys=False), Place())
