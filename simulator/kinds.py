"""What a resource type is, for the types that need more said than their name: one table.

What ARM fills in where a client leaves it out, what only ARM writes, which children lie in the document itself and which
are documents of their own that the parent shows, and which properties a write may name. A type that is not here is what
its documents are. Values from recorded traffic (tests/simulation/test_simulated_documents.py names it for each).
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from simulator.resources import Json

# Of every type: a write neither changes nor removes them.
ALWAYS_READ_ONLY = frozenset({"provisioningState", "resourceGuid"})


@dataclass(frozen=True, slots=True)
class Kind:
    """`embedded` and `shown` are collections: their names in the path and in `properties` alike."""

    type: str
    fills: Mapping[str, Any] = field(default_factory=dict)
    read_only: frozenset[str] = frozenset()
    embedded: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    properties: frozenset[str] | None = None  # those that ARM knows besides; None: no source says
    is_written_whole: bool = False  # by `documents.py`; other types have modules of their own, or are only read
    guid: bool = True
    create_waits: tuple[float, ...] = ()  # where its creation takes longer than another write

    @property
    def has_tags(self) -> bool:
        """Whether it is a resource of its own, and no child."""
        return self.type.count("/") == 1

    def embedded_as(self, collection: str) -> str | None:
        """How the document spells a collection of children that lie in it; None for one that does not."""
        return next((name for name in self.embedded if name.lower() == collection.lower()), None)

    def knows(self, name: str) -> bool:
        return self.properties is None or name in self.properties or self._treats(name)

    def _treats(self, name: str) -> bool:
        return any(name in those for those in (self.fills, self.read_only, self.embedded, self.shown, ALWAYS_READ_ONLY))

    def kept(self, facts: Json) -> Json:
        """Of `facts`, what no write changes."""
        fixed = ALWAYS_READ_ONLY | self.read_only
        return {name: value for name, value in facts.items() if name in fixed}

    def filled(self, facts: Json) -> None:
        """Add what ARM adds."""
        for name, value in self.fills.items():
            facts.setdefault(name, deepcopy(value))


NETWORK = "Microsoft.Network"
LOAD_BALANCER = f"{NETWORK}/loadBalancers"
HUB = f"{NETWORK}/virtualHubs"
GATEWAY = f"{NETWORK}/virtualNetworkGateways"
COMPUTE = "Microsoft.Compute"
SET = f"{COMPUTE}/virtualMachineScaleSets"


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PEERING_SPACES = ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace")
_KINDS = (
    Kind(
        f"{NETWORK}/loadBalancers",
        embedded=(
            "frontendIPConfigurations",
            "backendAddressPools",
            "loadBalancingRules",
            "probes",
            "inboundNatRules",
            "outboundRules",
        ),
        properties=_names("inboundNatPools mode scope"),
    ),
    Kind(
        f"{NETWORK}/loadBalancers/backendAddressPools",
        properties=_names(
            "backendIPConfigurations drainPeriodInSeconds inboundNatRules loadBalancerBackendAddresses "
            "loadBalancingRules location outboundRule outboundRules syncMode tunnelInterfaces virtualNetwork"
        ),
        guid=False,
    ),
    Kind(
        f"{NETWORK}/loadBalancers/inboundNatRules",
        properties=_names(
            "allowBackendPortConflict backendAddressPool backendIPConfiguration backendPort "
            "enableDestinationServiceEndpoint enableFloatingIP enableTcpReset frontendIPConfiguration frontendPort "
            "frontendPortRangeEnd frontendPortRangeStart idleTimeoutInMinutes protocol"
        ),
        guid=False,
    ),
    Kind(
        f"{NETWORK}/networkInterfaces",
        fills={
            "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
            "enableAcceleratedNetworking": False,
            "enableIPForwarding": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
        },
        read_only=frozenset({"macAddress", "primary", "virtualMachine", "hostedWorkloads"}),
        embedded=("ipConfigurations",),
        properties=_names(
            "auxiliaryMode auxiliarySku defaultOutboundConnectivityEnabled disableTcpStateTracking dscpConfiguration "
            "migrationPhase networkSecurityGroup nicType privateEndpoint privateLinkService vnetEncryptionSupported "
            "workloadType allowPort25Out"  # the last one is in no specification, and is sent back: index id 6090185004
        ),
        is_written_whole=True,
    ),
    Kind(
        f"{NETWORK}/virtualNetworks",
        fills={"subnets": [], "enableDdosProtection": False},
        embedded=("subnets",),
        shown=("virtualNetworkPeerings",),
        properties=_names(
            "addressSpace bgpCommunities ddosProtectionPlan defaultPublicNatGateway dhcpOptions enableVmProtection "
            "encryption flowLogs flowTimeoutInMinutes ipAllocations privateEndpointVNetPolicies "
            "summarizedGatewayPrefixes"
        ),
        is_written_whole=True,
    ),
    Kind(
        f"{NETWORK}/virtualNetworks/subnets",
        properties=_names(
            "addressPrefix addressPrefixes applicationGatewayIPConfigurations defaultOutboundAccess delegations "
            "ipAllocations ipConfigurationProfiles ipConfigurations ipamPoolPrefixAllocations natGateway "
            "networkSecurityGroup privateEndpointNetworkPolicies privateEndpoints privateLinkServiceNetworkPolicies "
            "purpose resourceNavigationLinks routeTable serviceAssociationLinks serviceEndpointPolicies "
            "serviceEndpoints serviceGateway sharingScope"
        ),
        guid=False,
    ),
    Kind(
        f"{NETWORK}/virtualNetworks/virtualNetworkPeerings",
        fills={
            "peeringState": "Connected",
            "peeringSyncLevel": "FullyInSync",
            "allowVirtualNetworkAccess": True,
            "allowForwardedTraffic": False,
            "allowGatewayTransit": False,
            "useRemoteGateways": False,
            "doNotVerifyRemoteGateways": False,
            "peerCompleteVnets": True,
            "remoteAddressSpace": {"addressPrefixes": []},
            "remoteVirtualNetworkAddressSpace": {"addressPrefixes": []},
            "routeServiceVips": {},
        },
        read_only=frozenset({"peeringState", "peeringSyncLevel", "routeServiceVips", *_PEERING_SPACES}),
        properties=_names(
            "enableOnlyIPv6Peering localAddressSpace localSubnetNames localVirtualNetworkAddressSpace "
            "remoteBgpCommunities remoteSubnetNames remoteVirtualNetwork remoteVirtualNetworkEncryption"
        ),
    ),
    Kind(
        HUB,
        properties=_names(
            "addressPrefix addressPrefixV6 allowBranchToBranchTraffic azureFirewall bgpConnections "
            "expressRouteGateway hubRoutingPreference ipConfigurations p2SVpnGateway preferredRoutingGateway routeMaps "
            "routeTable routingState securityPartnerProvider securityProviderName sku virtualHubRouteTableV2s "
            "virtualRouterAsn virtualRouterAutoScaleConfiguration virtualRouterIps virtualRouterIpsV6 virtualWan "
            "vpnGateway"
        ),
        guid=False,
    ),
    Kind(
        f"{HUB}/ipConfigurations",
        properties=_names("privateIPAddress privateIPAllocationMethod publicIPAddress subnet"),
        guid=False,
    ),
    Kind(
        f"{HUB}/bgpConnections",
        properties=_names("connectionState hubVirtualNetworkConnection peerAsn peerIp routingConfiguration"),
        guid=False,
    ),
    Kind(
        f"{NETWORK}/publicIPAddresses",  # recorded: RouteServerTests/TestRouteServerCRUD of 2025-01-07
        fills={
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": "Dynamic",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
            "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        },
        read_only=frozenset({"ipAddress", "ipConfiguration"}),
        properties=_names(
            "deleteOption dnsSettings linkedPublicIPAddress migrationPhase natGateway publicIPPrefix "
            "servicePublicIPAddress upgradedToV2"
        ),
        is_written_whole=True,
    ),
    Kind(
        f"{NETWORK}/routeTables",
        fills={"routes": []},
        read_only=frozenset({"subnets"}),
        embedded=("routes",),
        properties=_names("disableBgpRoutePropagation disablePeeringRoute"),
        is_written_whole=True,
    ),
    Kind(
        GATEWAY,  # a capture of api 2022-05-01 that is put back whole: index id 21327877162
        fills={
            "packetCaptureDiagnosticState": "None",
            "enablePrivateIpAddress": False,
            "isMigrateToCSES": False,
            "ipConfigurations": [],
            "natRules": [],
            "virtualNetworkGatewayPolicyGroups": [],
            "enableBgpRouteTranslationForNat": False,
            "disableIPSecReplayProtection": False,
            "enableBgp": False,
            "activeActive": False,
            "allowRemoteVnetTraffic": False,
            "allowVirtualWanTraffic": False,
        },
        read_only=frozenset({"packetCaptureDiagnosticState", "isMigrateToCSES", "inboundDnsForwardingEndpoint"}),
        embedded=("ipConfigurations",),
        properties=_names(
            "adminState autoScaleConfiguration bgpSettings customRoutes enableDnsForwarding "
            "enableHighBandwidthVpnGateway gatewayDefaultSite gatewayType resiliencyModel sku "
            "vNetExtendedLocationResourceId virtualNetworkGatewayMigrationStatus vpnClientConfiguration "
            "vpnGatewayGeneration vpnType"
        ),
        is_written_whole=True,
        create_waits=(10.0, 10.0, 20.0, 40.0, 80.0, 140.0, *(100.0,) * 24),
    ),
    Kind(f"{COMPUTE}/virtualMachines", is_written_whole=True, guid=False),
    Kind(SET, is_written_whole=True, guid=False),
    Kind(f"{SET}/virtualMachines", is_written_whole=True, guid=False),
    Kind(f"{SET}/virtualMachines/networkInterfaces", embedded=("ipConfigurations",), guid=False),
)
KINDS: dict[str, Kind] = {kind.type.lower(): kind for kind in _KINDS}
_UNKNOWN = Kind("", guid=False)


def kind_of(resource_type: str) -> Kind:
    return KINDS.get(resource_type.lower(), _UNKNOWN)


def is_network(resource_type: str) -> bool:
    """Whether it is of the network resource provider, whose documents have etags."""
    return resource_type.lower().startswith("microsoft.network/")


def complete(document: Json, new_etag: Callable[[], str], new_guid: Callable[[], str]) -> None:
    """Give a document that was written by hand what ARM answers besides. One with an etag is ARM's own: left as it is."""
    kind = kind_of(document["type"])
    if not is_network(document["type"]) or "etag" in document or kind is _UNKNOWN:
        return
    document["etag"] = new_etag()
    facts = document["properties"]
    document["properties"] = {"provisioningState": facts.pop("provisioningState", "Succeeded")}
    if kind.guid:
        document["properties"]["resourceGuid"] = facts.pop("resourceGuid", None) or new_guid()
    document["properties"] |= facts
    kind.filled(document["properties"])
    stamp(document)


def stamp(document: Json) -> None:
    """Its embedded children have their keys, in ARM's order, and the document's etag and state."""
    for collection in kind_of(document["type"]).embedded:
        for child in document["properties"].get(collection) or ():
            if own := child_name(child):
                _stamp(document, collection, child, own)


def child_name(child: Json) -> str:
    """The name of a child within a document, which may be written as the end of its id alone; empty where neither is there."""
    return str(child.get("name") or str(child.get("id", "")).rpartition("/")[2])


def _stamp(document: Json, collection: str, child: Json, name: str) -> None:
    facts = dict(child.get("properties") or {})
    facts.pop("provisioningState", None)
    keys: Json = {"name": name, "id": f"{document['id']}/{collection}/{name}"}
    if "etag" in document:
        keys["etag"] = document["etag"]
    keys["type"] = f"{document['type']}/{collection}"
    state = document["properties"].get("provisioningState", "Succeeded")
    keys["properties"] = {"provisioningState": state, **facts}
    rest = {key: value for key, value in child.items() if key not in keys}
    child.clear()
    child.update(keys | rest)
