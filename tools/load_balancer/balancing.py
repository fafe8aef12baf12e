"""Which backend gets a flow: configuration, the probe's count, eligibility, the hash. Pure.

Sources: Azure Load Balancer's pages on probes, admin state, distribution modes and health status (the reason codes).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any


class AdminState(StrEnum):
    NONE = "None"  # the probe decides
    UP = "Up"  # eligible whatever the probe says
    DOWN = "Down"  # takes no new flows


class Reason(StrEnum):
    SUCCESS = "Up_Probe_Success"
    APPROACHING_UNHEALTHY = "Up_Probe_ApproachingUnhealthyThreshold"
    APPROACHING_HEALTHY = "Down_Probe_ApproachingHealthyThreshold"
    HTTP_STATUS = "Down_Probe_HttpStatusCodeError"
    HTTP_UNREACHABLE = "Down_Probe_HttpEndpointUnreachable"
    HTTP_NO_RESPONSE = "Down_Probe_HttpNoResponse"
    TCP_TIMEOUT = "Down_Probe_TcpProbeTimeout"


class Protocol(StrEnum):
    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Probe:
    protocol: Protocol
    port: int
    path: str
    interval: timedelta
    threshold: int
    all_down_is_up: bool = False  # noHealthyBackendsBehavior AllProbedUp


@dataclass(frozen=True, slots=True)
class Backend:
    ip: IPv4Address
    admin_state: AdminState


@dataclass(frozen=True, slots=True)
class Configuration:
    """Every pool's backends in one row (a backend in two pools is there twice), and the probe if there is one."""

    backends: tuple[Backend, ...] = ()
    probe: Probe | None = None

    def addresses(self) -> frozenset[IPv4Address]:
        return frozenset(backend.ip for backend in self.backends)


@dataclass(frozen=True, slots=True)
class Probed:
    """What probes of one backend have found. `up` is None until `threshold` results agreed for the first time."""

    up: bool | None = None
    last: Reason | None = None  # SUCCESS or the failure of the newest probe
    run: int = 0  # how many of the newest results were alike

    def after(self, result: Reason, threshold: int) -> "Probed":
        """The state after one more probe; the threshold holds in both directions."""
        alike = self.last is not None and (result is Reason.SUCCESS) == (self.last is Reason.SUCCESS)
        run = self.run + 1 if alike else 1
        return Probed(result is Reason.SUCCESS if run >= threshold else self.up, result, run)

    def reason(self) -> Reason | None:
        """The reason code Azure's health status would show; None before the first probe ended."""
        if self.last is Reason.SUCCESS:
            return Reason.SUCCESS if self.up else Reason.APPROACHING_HEALTHY
        return Reason.APPROACHING_UNHEALTHY if self.up else self.last


@dataclass(frozen=True, slots=True)
class Flow:
    """A UDP flow's five-tuple; the protocol is always the same."""

    source: tuple[str, int]
    destination: tuple[str, int]


def decode(document: Mapping[str, Any]) -> Configuration:
    """The simulator's GET /simulator/dataplane/loadBalancers/{name}. Raises ValueError, KeyError or TypeError."""
    backends = tuple(
        Backend(IPv4Address(backend["ip"]), AdminState(backend["admin_state"]))
        for pool in document["pools"]
        for backend in pool["backends"]
    )
    probe = document.get("probe")
    if probe is None:
        return Configuration(backends)
    return Configuration(
        backends,
        Probe(
            protocol=Protocol(probe["protocol"].lower()),
            port=int(probe["port"]),
            path=probe.get("requestPath") or "/",
            interval=timedelta(seconds=probe["intervalInSeconds"]),
            # numberOfProbes is the older name; newer documents carry both.
            threshold=int(probe.get("probeThreshold") or probe.get("numberOfProbes") or 1),
            all_down_is_up=probe.get("noHealthyBackendsBehavior") == "AllProbedUp",
        ),
    )


def eligible(configuration: Configuration, probed: Mapping[IPv4Address, Probed]) -> tuple[IPv4Address, ...]:
    """The backends that may get new flows, sorted. Down in any pool that holds it is Down."""
    states: dict[IPv4Address, set[AdminState]] = {}
    for backend in configuration.backends:
        states.setdefault(backend.ip, set()).add(backend.admin_state)
    candidates = {ip: held for ip, held in states.items() if AdminState.DOWN not in held}
    found = {ip for ip, held in candidates.items() if AdminState.UP in held or probed.get(ip, Probed()).up}
    if not found and configuration.probe is not None and configuration.probe.all_down_is_up:
        found = set(candidates)
    return tuple(sorted(found))


def pick(flow: Flow, backends: Sequence[IPv4Address]) -> IPv4Address | None:
    """The backend for a new flow, the same one for the same flow and the same backends; None when there is none."""
    if not backends:
        return None
    text = f"{flow.source[0]} {flow.source[1]} {flow.destination[0]} {flow.destination[1]} udp"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return backends[int.from_bytes(digest) % len(backends)]
