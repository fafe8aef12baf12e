"""The simulated Azure that a topology implies: Route Servers, load balancers, networks and their peerings, interfaces.

Peerings of Route Servers are not there yet, unless a story wants to begin after that.
"""

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.topology.model import (
    BackendPool,
    LoadBalancer,
    NetworkPeering,
    RouteServer,
    Service,
    Speaker,
    Topology,
)
from function_app.domain.topology.peering_names import peering_name
from simulator.balancer_documents import member_name
from simulator.resources import Json
from simulator.seeds import Probe, load_balancer

LOCATION = "uksouth"
PROBE_PORT = 8080
APP_PREFIX = "10.255.255.0/27"


@dataclass(frozen=True, slots=True)
class Seeding:
    """What a topology leaves open.

    `instances` by Route Server; `by_address`: pools name addresses, not interfaces; `by_interface`: interfaces, and no
    addresses, as `az network nic ip-config address-pool add` makes them; `peered`: our peerings are there;
    `own_way_out`: the app's subnet has a route table that leads to Internet past whatever Route Servers tell it.
    """

    instances: dict[str, tuple[str, str]] = field(default_factory=dict)
    by_address: bool = False
    by_interface: bool = False
    peered: bool = False
    own_way_out: bool = True


class Seed:
    """Documents for one topology, with the addresses that were chosen for it."""

    def __init__(self, topology: Topology, how: Seeding = Seeding()) -> None:
        self._topology = topology
        self._how = how
        self._free = _from_the_end(topology)
        self.instances = {server.name: self._instances(server) for server in topology.route_servers}
        self.frontends = {service.name: next(self._free) for service in topology.services if service.load_balancer}

    def document(self) -> Json:
        """The simulator's seed; its shape is in the simulator's docstring."""
        topology = self._topology
        resources: list[Json] = [self._route_server(server) for server in topology.route_servers]
        if self._how.peered:
            resources += [self._peering(s, p) for s in topology.route_servers for p in topology.peered_with(s.name)]
        resources += self._network()
        resources += self._app_network()
        for speaker in topology.speakers:
            resources += self._machine(speaker)
        for service in topology.services:
            if service.load_balancer is not None:
                resources.append(self._load_balancer(service, service.load_balancer))
                resources += [self._public(service, pool) for pool in service.load_balancer.also_behind]
        resources += [self._network_peering(peering.id) for peering in topology.network_peerings]
        resources += [{"id": s.id, "properties": {"orchestrationMode": "Uniform"}} for s in topology.scale_sets]
        return {
            "resources": resources,
            "vnetPrefixes": {server.id: self._advertised(server) for server in topology.route_servers},
        }

    def _advertised(self, server: RouteServer) -> list[str]:
        """What it advertises to every peer by itself: the networks, and what its gateway brings and speakers are to relay."""
        relayed = [p for s in self._topology.speakers for r in s.relays if r.source == server.name for p in r.prefixes]
        return list(dict.fromkeys(map(str, (*self._topology.networks, *relayed))))

    def _instances(self, server: RouteServer) -> tuple[IPv4Address, IPv4Address]:
        chosen = self._how.instances.get(server.name)
        if chosen is not None:
            return IPv4Address(chosen[0]), IPv4Address(chosen[1])
        second, first = next(self._free), next(self._free)
        return first, second

    def _route_server(self, server: RouteServer) -> Json:
        return {
            "id": server.id,
            "etag": 'W/"00000000-0000-4000-8000-000000000001"',
            "location": LOCATION,
            "kind": "RouteServer",
            "properties": {
                "provisioningState": "Succeeded",
                "virtualRouterAsn": 65515,
                "virtualRouterIps": [str(address) for address in self.instances[server.name]],
                "sku": "Standard",
                "routingState": "Provisioned",
                "allowBranchToBranchTraffic": server.branch_to_branch,
                "hubRoutingPreference": server.routing_preference or "ExpressRoute",
            },
        }

    def _peering(self, server: RouteServer, speaker: Speaker) -> Json:
        name = peering_name(self._topology.name, speaker.name)
        return {
            "id": f"{server.id}/bgpConnections/{name}",
            "properties": {"peerIp": str(speaker.address), "peerAsn": speaker.asn},
        }

    def _network(self) -> list[Json]:
        """The appliances' network and subnet, with a default route of its own, without which one would loop."""
        table = f"{self._scope}/routeTables/appliances"
        route = {"addressPrefix": "0.0.0.0/0", "nextHopType": "Internet"}
        subnet = {"addressPrefix": str(self._topology.networks[0]), "routeTable": {"id": table}}
        return [
            {
                "id": f"{self._scope}/virtualNetworks/vnet",
                "location": LOCATION,
                "properties": {
                    "provisioningState": "Succeeded",
                    "addressSpace": {"addressPrefixes": [str(net) for net in self._topology.networks]},
                    "subnets": [{"name": "appliances", "properties": subnet}],
                },
            },
            {
                "id": table,
                "location": LOCATION,
                "properties": {"provisioningState": "Succeeded", "routes": [{"name": "default", "properties": route}]},
            },
        ]

    @property
    def app_subnet(self) -> str:
        """The subnet that the app is integrated with, in a network of its own that is peered with the appliances'."""
        return f"{self._app_scope()}/virtualNetworks/app/subnets/snet-hopkeeper"

    @property
    def app_table(self) -> str:
        """Its route table, there or not."""
        return f"{self._app_scope()}/routeTables/rt-hopkeeper"

    def _app_network(self) -> list[Json]:
        facts: Json = {
            "addressPrefix": APP_PREFIX,
            "natGateway": {"id": f"{self._app_scope()}/natGateways/ng-hopkeeper"},
        }
        if self._how.own_way_out:
            facts["routeTable"] = {"id": self.app_table}
        network: Json = {
            "id": f"{self._app_scope()}/virtualNetworks/app",
            "location": LOCATION,
            "properties": {
                "provisioningState": "Succeeded",
                "addressSpace": {"addressPrefixes": [APP_PREFIX]},
                "subnets": [{"name": "snet-hopkeeper", "properties": facts}],
            },
        }
        return [network, app_route_table(self.app_table)] if self._how.own_way_out else [network]

    def _app_scope(self) -> str:
        return f"{self._scope.partition('/resourceGroups/')[0]}/resourceGroups/hopkeeper/providers/Microsoft.Network"

    def _machine(self, speaker: Speaker) -> list[Json]:
        interface = self._interface(speaker)
        compute = self._scope.replace("Microsoft.Network", "Microsoft.Compute")
        configuration = {
            "name": "ipconfig1",
            "id": f"{interface}/ipConfigurations/ipconfig1",
            "properties": {
                "provisioningState": "Succeeded",
                "privateIPAddress": str(speaker.address),
                "primary": True,
                "subnet": {"id": f"{self._scope}/virtualNetworks/vnet/subnets/appliances"},
            },
        }
        return [
            {
                "id": interface,
                "location": LOCATION,
                "properties": {
                    "provisioningState": "Succeeded",
                    "ipConfigurations": [configuration],
                    "enableIPForwarding": True,
                },
            },
            {
                "id": speaker.vm or f"{compute}/virtualMachines/{speaker.name}",
                "location": LOCATION,
                "properties": {
                    "provisioningState": "Succeeded",
                    "networkProfile": {"networkInterfaces": [{"id": interface}]},
                },
            },
        ]

    def _load_balancer(self, service: Service, spec: LoadBalancer) -> Json:
        return self._balancer(service, spec, (spec.frontend, str(self.frontends[service.name])))

    def _public(self, service: Service, pool: BackendPool) -> Json:
        """One that clients on the Internet come through: no rule of it takes all ports."""
        made = self._balancer(service, pool, ("fe", ""))
        facts = made["properties"]
        facts["frontendIPConfigurations"][0]["properties"] = {
            "publicIPAddress": {"id": f"{self._scope}/publicIPAddresses/public"}
        }
        facts["loadBalancingRules"][0]["properties"] |= {"protocol": "Tcp", "frontendPort": 443, "backendPort": 443}
        return made

    def _balancer(self, service: Service, pool: BackendPool, frontend: tuple[str, str]) -> Json:
        probe = Probe(PROBE_PORT, f"/probe/{service.name}")
        backends = [self._backend(pool.known(self._topology.speaker(name))) for name in service.names]
        return load_balancer(pool.id, frontend, (pool.backend_pool, backends), (pool.probe, probe))

    def _backend(self, speaker: Speaker) -> Json:
        where: Json
        if self._how.by_address:
            network = f"{self._scope}/virtualNetworks/vnet"
            where = {"virtualNetwork": {"id": network}, "subnet": {"id": f"{network}/subnets/appliances"}}
        else:
            configuration = f"{self._interface(speaker)}/ipConfigurations/ipconfig1"
            where = {"networkInterfaceIPConfiguration": {"id": configuration}}
            if self._how.by_interface:
                return {"name": member_name(configuration), "properties": where}
        return {"name": speaker.name, "properties": {"ipAddress": str(speaker.address), **where}}

    def beyond(self, peering: NetworkPeering) -> str:
        """The virtual network at the other end."""
        return f"{self._scope}/virtualNetworks/beyond-{peering.name}"

    def _network_peering(self, resource_id: str) -> Json:
        """With the flags as the topology wants them: what differs is the story's business."""
        wanted = next(peering for peering in self._topology.network_peerings if peering.id == resource_id)
        return {
            "id": resource_id,
            "properties": {
                "provisioningState": "Succeeded",
                "peeringState": "Connected",
                "allowVirtualNetworkAccess": True,
                "allowForwardedTraffic": wanted.allow_forwarded_traffic is not False,
                "allowGatewayTransit": bool(wanted.allow_gateway_transit),
                "useRemoteGateways": bool(wanted.use_remote_gateways),
                "remoteVirtualNetwork": {"id": self.beyond(wanted)},
            },
        }

    def _interface(self, speaker: Speaker) -> str:
        return speaker.interface or f"{self._scope}/networkInterfaces/{speaker.name}-nic"

    @cached_property
    def _scope(self) -> str:
        """Where things live that the topology does not name: beside the first that it does."""
        named = [*(server.id for server in self._topology.route_servers), *sorted(self._topology.resource_ids), ""]
        return named[0].split("/providers/")[0] + "/providers/Microsoft.Network"


def app_route_table(resource: str) -> Json:
    """The route table that our Bicep gives the app's subnet."""
    route = {"addressPrefix": "0.0.0.0/0", "nextHopType": "Internet"}
    return {
        "id": resource,
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded", "routes": [{"name": "internet", "properties": route}]},
    }


def _from_the_end(topology: Topology) -> "_Free":
    return _Free(topology.networks[0], {speaker.address for speaker in topology.speakers})


class _Free:
    """Addresses of a network that no speaker has, the last one first."""

    def __init__(self, network: IPv4Network, taken: set[IPv4Address]) -> None:
        self._next = network.num_addresses - 2
        self._network = network
        self._taken = taken

    def __next__(self) -> IPv4Address:
        while True:
            found = self._network[self._next]
            self._next -= 1
            if found not in self._taken:
                return found
