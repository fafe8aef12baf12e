"""Route Servers and virtual hubs in the world: their peerings, one write at a time, and what they learned.

ARM type Microsoft.Network/virtualHubs and its bgpConnections. Behaviour from recorded traffic where there is some;
codes that no recording shows are marked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from simulator.bgp_table import BgpTable
from simulator.faults import Busy
from simulator.metrics import MetricStore
from simulator.resources import Json, ResourcePath, key_of, path_of
from simulator.state import (
    PEERING_WAITS,
    ROUTES_WAITS,
    ArmError,
    Operation,
    OperationKind,
    OperationStatus,
    State,
)

HUB = "Microsoft.Network/virtualHubs"
PEERING = "Microsoft.Network/virtualHubs/bgpConnections"
ROUTE_SERVER_ASN = 65515
PEERS_MAX = 8  # per Route Server, whatever state the peerings are in
ASN_MAX = 65535  # two-byte peers only
RESERVED_ASNS = frozenset(
    {8074, 8075, 12076, 23456, 65515, 65517, 65518, 65519, 65520, *range(64496, 64512), *range(65535, 65552)}
)
LEARNED_WEIGHT = 32768
PLATFORM = IPv4Address("168.63.129.16")


@dataclass(frozen=True, slots=True)
class Peer:
    """A peering that is in force: these two instances speak BGP with this peer."""

    hub: str
    instances: tuple[IPv4Address, ...]
    address: IPv4Address
    asn: int


class RouteServers:
    def __init__(self, state: State, bgp: BgpTable, metrics: MetricStore) -> None:
        self._state = state
        self._bgp = bgp
        self._metrics = metrics
        self._vnet_prefixes: dict[str, list[str]] = {}
        self._route_requests = 0
        self.silent: set[IPv4Address] = set()  # peers whose machine is off
        bgp.watch(self._measure)

    def set_vnet_prefixes(self, hub_id: str, prefixes: list[str]) -> None:
        """What the Route Server itself advertises to every peer."""
        self._vnet_prefixes[key_of(hub_id)] = prefixes

    def peers(self) -> list[Peer]:
        """Every peering in force: those that are Succeeded."""
        return [
            Peer(hub["id"], instances_of(hub), IPv4Address(facts["peerIp"]), int(facts["peerAsn"]))
            for hub in self._state.resources.of_type(HUB)
            for facts in (peering["properties"] for peering in self.peerings(hub["id"]))
            if facts["provisioningState"] == "Succeeded" and IPv4Address(facts["peerIp"]) not in self.silent
        ]

    def peerings(self, hub_id: str) -> list[Json]:
        below = key_of(hub_id) + "/bgpconnections/"
        return [doc for doc in self._state.resources.of_type(PEERING) if key_of(doc["id"]).startswith(below)]

    def put_peering(self, path: ResourcePath, body: Json) -> tuple[Json, Operation | None]:
        """Create a peering. Returns the document, and the operation if one was started. Raises ArmError."""
        hub = self._free_hub(path)
        wanted = checked(body)
        known = self._state.resources.get(path.id)
        if known is not None:
            self._refuse_change(known, wanted)
            if known["properties"]["provisioningState"] == "Succeeded":
                return known, None
        elif len(self.peerings(hub["id"])) >= PEERS_MAX:
            # The code is not from a recording.
            raise ArmError(
                400, "HubBgpConnectionsLimitReached", f"A Route Server has at most {PEERS_MAX} BGP connections."
            )
        elif _is_azure_s(IPv4Address(wanted["peerIp"]), hub):
            # The code is not from a recording.
            raise ArmError(
                400, "BgpConnectionPeerIpInvalid", f"{wanted['peerIp']} is Azure's own and cannot be a peer."
            )
        elif any(peering["properties"]["peerIp"] == wanted["peerIp"] for peering in self.peerings(hub["id"])):
            # The code is not from a recording.
            raise ArmError(400, "BgpConnectionPeerIpInUse", f"A connection with peer {wanted['peerIp']} exists.")
        document: Json = {
            "name": path.names[-1],
            "id": path.id,
            "etag": self._state.new_etag(),
            "type": PEERING,
            "properties": {"provisioningState": "Updating", **wanted},
        }
        self._state.resources.put(document)
        return document, self._state.begin(
            OperationKind.WRITE,
            {"id": path.id, "location": hub.get("location")},
            PEERING_WAITS,
            lambda operation: self._written(document, operation),
        )

    def delete_peering(self, path: ResourcePath) -> Operation | None:
        """Start to delete a peering; None where there is none. Raises ArmError."""
        known = self._state.resources.get(path.id)
        if known is None:
            return None
        hub = self._free_hub(path)
        known["properties"]["provisioningState"] = "Deleting"
        self._drop_sessions(hub, known)

        def finish(operation: Operation) -> None:
            if operation.status is not OperationStatus.SUCCEEDED:
                known["properties"]["provisioningState"] = "Failed"
                return
            self._state.resources.remove(path.id)
            self._state.publish("Delete", known)

        target = {"id": path.id, "location": hub.get("location")}
        return self._state.begin(OperationKind.DELETE, target, PEERING_WAITS, finish)

    def silence(self, peer: IPv4Address) -> None:
        """A peer's machine is off: its sessions end, and no instance speaks with it."""
        self.silent.add(peer)
        for instance, other in list(self._bgp.sessions):
            if other == peer:
                self._bgp.down(instance, peer)

    def forget(self, peering: Json) -> None:
        """The sessions of a peering end, as it goes with its Route Server."""
        hub = self._state.resources.get(hub_of_peering(peering))
        if hub is not None:
            self._drop_sessions(hub, peering)

    def begin_routes(self, path: ResourcePath, *, learned: bool) -> Operation:
        """Start learnedRoutes or advertisedRoutes of a peering. Raises ArmError."""
        peering = self._state.resources.get(path.id)
        hub = self._state.resources.get(path.up().id)
        if peering is None or hub is None:
            raise not_found(path)
        self._route_requests += 1
        # Either role may carry either instance; alternating makes every client find that out.
        swapped = self._route_requests % 2 == 0

        def finish(operation: Operation) -> None:
            instances = instances_of(hub)
            peer = IPv4Address(peering["properties"]["peerIp"])
            tables = [
                self._learned(instance, peer) if learned else self._advertised(hub, instance, peer)
                for instance in (reversed(instances) if swapped else instances)
            ]
            null = self._state.faults.null_routes
            operation.result = {f"RouteServiceRole_IN_{i}": t or (None if null else []) for i, t in enumerate(tables)}

        target = {"id": path.id, "location": hub.get("location")}
        return self._state.begin(OperationKind.ACTION, target, ROUTES_WAITS, finish)

    def _learned(self, instance: IPv4Address, peer: IPv4Address) -> list[Json]:
        return [
            {
                "localAddress": str(instance),
                "network": str(route.network),
                "nextHop": str(route.next_hop),
                "sourcePeer": str(peer),
                "origin": "EBgp",
                "asPath": "-".join(str(asn) for asn in route.as_path),
                "weight": LEARNED_WEIGHT,
            }
            for route in self._bgp.routes(instance, peer)
        ]

    def _advertised(self, hub: Json, instance: IPv4Address, peer: IPv4Address) -> list[Json]:
        """Without `sourcePeer`, as real Route Servers answer (fabferri/az-pattern, route-server/basic-rs-frr-cloud-init);
        only the REST specification's example has it."""
        if self._bgp.sessions and not self._bgp.is_established(instance, peer):
            return []
        offers = [(prefix, str(ROUTE_SERVER_ASN)) for prefix in self._vnet_prefixes.get(key_of(hub["id"]), [])]
        for other in self.peerings(hub["id"]):
            source = IPv4Address(other["properties"]["peerIp"])
            if source != peer:
                offers += [
                    (str(route.network), "-".join(map(str, (ROUTE_SERVER_ASN, *route.as_path))))
                    for route in self._bgp.routes(instance, source)
                ]
        own = str(instance)
        return [
            {
                "localAddress": own,
                "network": network,
                "nextHop": own,
                "origin": "Igp",
                "asPath": as_path,
                "weight": 0,
            }
            for network, as_path in offers
        ]

    def _free_hub(self, path: ResourcePath) -> Json:
        """The hub of a peering that is about to be written. Raises ArmError if it cannot be written now."""
        hub = self._state.resources.get(path.up().id)
        if hub is None:
            raise ArmError(
                404,
                "ParentResourceNotFound",
                "Failed to perform 'write' on resource(s) of type 'virtualHubs/bgpConnections', "
                f"because the parent resource '{path.up().id}' could not be found.",
            )
        refuse_while_busy(self._state, hub)
        if hub["properties"].get("routingState") != "Provisioned":
            raise ArmError(
                409,
                "HubBgpConnectionParentHubMustHaveProvisionedRoutingState",
                f"Virtual hub {hub['id']} must have routing state Provisioned.",
            )
        return hub

    def _refuse_change(self, known: Json, wanted: Json) -> None:
        for name in ("peerIp", "peerAsn"):
            if known["properties"][name] != wanted[name]:
                # The code is not from a recording.
                raise ArmError(
                    400,
                    "BgpConnectionPropertyCannotBeChanged",
                    f"{name} of {known['id']} is {known['properties'][name]} and cannot be changed to {wanted[name]}.",
                )

    def _written(self, document: Json, operation: Operation) -> None:
        done = operation.status is OperationStatus.SUCCEEDED
        document["properties"]["provisioningState"] = "Succeeded" if done else "Failed"
        document["etag"] = self._state.new_etag()
        if done:
            operation.result = document
            self._state.publish("Write", document)

    def _drop_sessions(self, hub: Json, peering: Json) -> None:
        for instance in instances_of(hub):
            self._bgp.down(instance, IPv4Address(peering["properties"]["peerIp"]))

    def _measure(self, instance: IPv4Address, peer: IPv4Address) -> None:
        for hub in self._state.resources.of_type(HUB):
            if instance in instances_of(hub):
                role = f"RouteServiceRole_IN_{instances_of(hub).index(instance)}"
                dims = (("bgppeerip", str(peer)), ("bgppeertype", "NVA"), ("routeserviceinstance", role))
                now = self._state.now()
                up = float(self._bgp.is_established(instance, peer))
                self._metrics.record(hub["id"], "BgpPeerStatus", dims, now, up)
                learned = float(len(self._bgp.routes(instance, peer)))
                self._metrics.record(hub["id"], "CountOfRoutesLearnedFromPeer", dims, now, learned)


def refuse_while_busy(state: State, hub: Json) -> None:
    """Raises ArmError while a write on the hub, or on anything below it, is under way."""
    flying = state.in_flight(key_of(hub["id"]))
    if not flying:
        return
    if state.faults.busy is Busy.THROTTLE:
        raise ArmError(
            429,
            "RetryableErrorDueToAnotherOperation",
            f"Operation on {hub['id']} is retryable: operation {flying[0].id} is in progress.",
            retry_after=state.faults.arm_retry_after,
        )
    raise ArmError(
        409,
        "AnotherOperationInProgress",
        f"Another operation on this or dependent resource is in progress: {flying[0].id}.",
    )


def _is_azure_s(address: IPv4Address, hub: Json) -> bool:
    """The Route Server itself, the platform (168.63.129.16), or link-local, as the instance metadata service is."""
    return address in instances_of(hub) or address == PLATFORM or address.is_link_local


def not_found(path: ResourcePath) -> ArmError:
    return ArmError(404, "NotFound", f"Resource {path.id} not found.")


def instances_of(hub: Json) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(address) for address in hub["properties"].get("virtualRouterIps") or ())


def hub_of_peering(document: Json) -> str:
    return path_of(document["id"]).up().id


def _read[T](given: Json, name: str, read: Callable[[Any], T]) -> T:
    try:
        return read(given[name])
    except (KeyError, TypeError, ValueError) as error:
        found = f"'{given[name]}'" if name in given else "missing"
        # The words are not from a recording.
        raise ArmError(
            400, "InvalidRequestFormat", f"Cannot parse the request: properties.{name} is {found}."
        ) from error


def checked(body: Json) -> Json:
    """The writable properties of a peering in the order ARM answers them. Raises ArmError."""
    given = body.get("properties") or {}
    peer_ip = _read(given, "peerIp", lambda value: str(IPv4Address(value)))
    asn = _read(given, "peerAsn", int)
    if not 0 < asn <= ASN_MAX or asn in RESERVED_ASNS:
        # The code is not from a recording.
        raise ArmError(400, "BgpConnectionPeerAsnInvalid", f"ASN {asn} is reserved or out of range.")
    known: Json = {"peerIp": peer_ip, "peerAsn": asn}
    for optional in ("hubVirtualNetworkConnection", "routingConfiguration"):
        if given.get(optional) is not None:
            known[optional] = given[optional]
    return known
