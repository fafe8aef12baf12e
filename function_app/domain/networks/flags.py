"""Flags that a dual-homed network rests on: of network peerings, and of Route Servers themselves. Pure.

| flag                    | of                        | why it matters                                                         |
|-------------------------|---------------------------|------------------------------------------------------------------------|
| `useRemoteGateways`     | a spoke's network peering | on to get a hub's routes, off where the spoke has a Route Server       |
| `allowGatewayTransit`   | a hub's network peering   | the other half of the same                                             |
| `allowForwardedTraffic` | either                    | an NVA forwards what it did not send                                   |
| `branchToBranch`        | a Route Server            | exchanges routes with ExpressRoute and VPN gateways                    |
| `routingPreference`     | a Route Server            | who wins at equal prefix length: a gateway, or the shortest AS path    |

Differences are reported; where the topology owns the thing, they are repaired by one write at a time. Never on the failover
path: a change of a network peering may reset BGP sessions (azure-facts.md section 2), so every guard (`networks.guards`)
keeps away from one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from function_app.domain.peerings.model import RouteServerReading
from function_app.domain.routes.findings import FindingKind, RouteFinding
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import NetworkPeering, RouteServer, Topology


class Flag(StrEnum):
    """A flag by its name in the topology document."""

    USE_REMOTE_GATEWAYS = "useRemoteGateways"
    ALLOW_GATEWAY_TRANSIT = "allowGatewayTransit"
    ALLOW_FORWARDED_TRAFFIC = "allowForwardedTraffic"
    BRANCH_TO_BRANCH = "branchToBranch"
    ROUTING_PREFERENCE = "routingPreference"


type Flags = tuple[tuple[Flag, bool | str], ...]

CONNECTED = "Connected"
GATEWAYS = ("ExpressRoute", "VpnGateway")


@dataclass(frozen=True, slots=True)
class NetworkPeeringReading:
    """A network peering as ARM shows it. `settled` is False while it is being written."""

    flags: Mapping[Flag, bool]
    state: str = CONNECTED
    settled: bool = True


@dataclass(frozen=True, slots=True)
class RepairFlags:
    """Write these flags of one network peering or one Route Server, and nothing else of it."""

    target: NetworkPeering | RouteServer
    flags: Flags
    why: str


@dataclass(frozen=True, slots=True)
class FlagPlan:
    """What differs, and the repairs of what is owned, in the order of the document."""

    findings: tuple[RouteFinding, ...]
    steps: tuple[RepairFlags, ...]


def plan(
    topology: Topology,
    peerings: Mapping[str, NetworkPeeringReading],
    servers: Mapping[str, RouteServerReading],
) -> FlagPlan:
    """`peerings` and `servers` are by name; what could not be read is not judged."""
    findings: list[RouteFinding] = []
    steps: list[RepairFlags] = []
    for peering in topology.network_peerings:
        reading = peerings.get(peering.name)
        if reading is None:
            continue
        if reading.state != CONNECTED:
            sentence = f"network peering {peering.name} is {reading.state}: no packet and no BGP session crosses it"
            findings.append(RouteFinding(FindingKind.NETWORK_STATE, peering.name, sentence))
        _differing(peering, _wanted_of_peering(peering), dict(reading.flags), findings, steps)
    for server in topology.route_servers:
        if (seen := servers.get(server.name)) is not None:
            found = {Flag.BRANCH_TO_BRANCH: seen.branch_to_branch, Flag.ROUTING_PREFERENCE: seen.routing_preference}
            _differing(server, _wanted_of_server(server), found, findings, steps)
            findings += _gateway_preferred(topology, server, seen)
    return FlagPlan(tuple(findings), tuple(steps))


# --- differences -----------------------------------------------------------------------------------------------------


def _wanted_of_peering(peering: NetworkPeering) -> Flags:
    wanted = (
        (Flag.USE_REMOTE_GATEWAYS, peering.use_remote_gateways),
        (Flag.ALLOW_GATEWAY_TRANSIT, peering.allow_gateway_transit),
        (Flag.ALLOW_FORWARDED_TRAFFIC, peering.allow_forwarded_traffic),
    )
    return tuple((flag, value) for flag, value in wanted if value is not None)


def _wanted_of_server(server: RouteServer) -> Flags:
    wanted = ((Flag.BRANCH_TO_BRANCH, server.branch_to_branch), (Flag.ROUTING_PREFERENCE, server.routing_preference))
    return tuple((flag, value) for flag, value in wanted if value is not None)


def _differing(
    target: NetworkPeering | RouteServer,
    wanted: Flags,
    found: Mapping[Flag, bool | str | None],
    findings: list[RouteFinding],
    steps: list[RepairFlags],
) -> None:
    wrong = tuple((flag, value) for flag, value in wanted if found.get(flag) not in (None, value))
    kind = "network peering" if isinstance(target, NetworkPeering) else "Route Server"
    for flag, value in wrong:
        sentence = f"{flag} of {kind} {target.name} is {_said(found[flag])}, the topology says {_said(value)}"
        ending = "" if target.owned else f": put it right, or set `owned` on {target.name} to have it repaired"
        findings.append(RouteFinding(FindingKind.NETWORK_FLAG, target.name, sentence + ending))
    if wrong and target.owned:
        why = ", ".join(f"{flag} is {_said(found[flag])}, not {_said(value)}" for flag, value in wrong)
        steps.append(RepairFlags(target, wrong, why))


def _gateway_preferred(topology: Topology, server: RouteServer, seen: RouteServerReading) -> Iterator[RouteFinding]:
    """Where lengths of AS paths are to decide, but a gateway's route of the same prefix wins whatever its length."""
    relayed = any(relay.to == server.name for speaker in topology.speakers for relay in speaker.relays)
    peers = {speaker.name for speaker in topology.peered_with(server.name)}
    ranked = any(kind_of(service).is_ranked and peers & set(service.announcers) for service in topology.services)
    if seen.branch_to_branch and seen.routing_preference in GATEWAYS and (relayed or ranked):
        sentence = (
            f"{server.name} exchanges routes with gateways and prefers {seen.routing_preference}: at equal prefix length "
            "a gateway's route wins, however short an NVA's AS path is; `routingPreference: ASPath` lets the length decide"
        )
        yield RouteFinding(FindingKind.GATEWAY_PREFERRED, server.name, sentence, wrong=False)


def _said(value: bool | str | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
