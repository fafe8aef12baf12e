"""Seeds made from parameters: the world the demo and most tests want.

A seed is JSON; its shape is in the package's docstring.
"""

from dataclasses import dataclass

from simulator.resources import Json

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "rg-hub"
LOCATION = "uksouth"


@dataclass(frozen=True, slots=True)
class Probe:
    port: int = 8080
    path: str = "/probe"
    interval_seconds: int = 5
    threshold: int = 2


@dataclass(frozen=True, slots=True)
class HubSeed:
    """One Route Server with two instances and one internal load balancer in front of `backends` (name to address)."""

    backends: tuple[tuple[str, str], ...]
    route_server: str = "rs-hub"
    instances: tuple[str, str] = ("10.0.0.4", "10.0.0.5")
    load_balancer: str = "lb-nva"
    frontend: str = "10.0.1.100"
    pool: str = "nvas"
    probe: Probe = Probe()
    subscription: str = SUBSCRIPTION
    group: str = GROUP

    @property
    def network_scope(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/Microsoft.Network"

    @property
    def route_server_id(self) -> str:
        return f"{self.network_scope}/virtualHubs/{self.route_server}"

    @property
    def load_balancer_id(self) -> str:
        return f"{self.network_scope}/loadBalancers/{self.load_balancer}"


def hub_seed(wanted: HubSeed, *, alert_threshold: float | None = 90.0) -> Json:
    """The seed for one hub, with an alert on DipAvailability unless the threshold is None."""
    alerts = []
    if alert_threshold is not None:
        alerts.append(
            {
                "name": f"{wanted.load_balancer}-dip-availability",
                "resourceId": wanted.load_balancer_id,
                "metric": "DipAvailability",
                "threshold": alert_threshold,
                "windowSeconds": 60,
                "severity": 1,
            }
        )
    interfaces = [_interface(wanted, name, address) for name, address in wanted.backends]
    return {
        "resources": [_route_server(wanted), *interfaces, *_machines(wanted), _load_balancer(wanted)],
        "alerts": alerts,
        "vnetPrefixes": {wanted.route_server_id: ["10.0.0.0/16"]},
    }


def example() -> Json:
    """What `init` prints: a hub and two NVAs, of which the first one peers already, in a network that says where all is."""
    wanted = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
    scope = wanted.network_scope
    network = {
        "id": f"{scope}/virtualNetworks/vnet-hub",
        "location": LOCATION,
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [
                {"name": "RouteServerSubnet", "properties": {"addressPrefix": "10.0.0.0/27"}},
                {"name": "nva", "properties": {"addressPrefix": "10.0.1.0/24"}},
            ],
        },
    }
    address = {"id": f"{scope}/publicIPAddresses/pip-rs", "location": LOCATION, "properties": {"ipAddress": "20.0.0.4"}}
    configuration = {
        "id": f"{wanted.route_server_id}/ipConfigurations/ipconfig1",
        "properties": {
            "subnet": {"id": f"{network['id']}/subnets/RouteServerSubnet"},
            "publicIPAddress": {"id": address["id"]},
        },
    }
    peering = {
        "id": f"{wanted.route_server_id}/bgpConnections/nva-a",
        "properties": {"peerIp": "10.0.1.4", "peerAsn": 65001},
    }
    seed = hub_seed(wanted)
    default = {"network": "0.0.0.0/0", "nextHop": wanted.frontend, "asPath": [65001]}
    return {
        "resources": [network, address, seed["resources"][0], configuration, peering, *seed["resources"][1:]],
        "bgp": [{"peer": own, "routes": [default]} for _, own in wanted.backends],
        **{part: seed[part] for part in ("vnetPrefixes", "alerts")},
    }


def _route_server(wanted: HubSeed) -> Json:
    return {
        "name": wanted.route_server,
        "id": wanted.route_server_id,
        "etag": 'W/"00000000-0000-4000-8000-000000000001"',
        "type": "Microsoft.Network/virtualHubs",
        "location": LOCATION,
        "kind": "RouteServer",
        "properties": {
            "provisioningState": "Succeeded",
            "virtualHubRouteTableV2s": [],
            "virtualRouterAsn": 65515,
            "virtualRouterIps": list(wanted.instances),
            "routeTable": {"routes": []},
            "sku": "Standard",
            "routingState": "Provisioned",
            "allowBranchToBranchTraffic": False,
            "hubRoutingPreference": "ExpressRoute",
        },
    }


def _interface(wanted: HubSeed, name: str, address: str) -> Json:
    own = f"{wanted.network_scope}/networkInterfaces/{name}-nic"
    return {
        "name": f"{name}-nic",
        "id": own,
        "location": LOCATION,
        "properties": {
            "provisioningState": "Succeeded",
            "ipConfigurations": [
                {
                    "name": "ipconfig1",
                    "id": f"{own}/ipConfigurations/ipconfig1",
                    "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAddress": address,
                        "privateIPAllocationMethod": "Static",
                        "primary": True,
                        "privateIPAddressVersion": "IPv4",
                    },
                }
            ],
            "enableIPForwarding": True,
        },
        "type": "Microsoft.Network/networkInterfaces",
    }


def _machines(wanted: HubSeed) -> list[Json]:
    compute = wanted.network_scope.replace("Microsoft.Network", "Microsoft.Compute")
    return [
        {
            "name": name,
            "id": f"{compute}/virtualMachines/{name}",
            "type": "Microsoft.Compute/virtualMachines",
            "location": LOCATION,
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "networkProfile": {
                    "networkInterfaces": [{"id": f"{wanted.network_scope}/networkInterfaces/{name}-nic"}]
                },
                "provisioningState": "Succeeded",
            },
        }
        for name, _ in wanted.backends
    ]


def _load_balancer(wanted: HubSeed) -> Json:
    addresses: list[Json] = [
        {
            "name": name,
            "properties": {
                "ipAddress": address,
                "networkInterfaceIPConfiguration": {
                    "id": f"{wanted.network_scope}/networkInterfaces/{name}-nic/ipConfigurations/ipconfig1"
                },
            },
        }
        for name, address in wanted.backends
    ]
    frontend, pool, probe = ("fe", wanted.frontend), (wanted.pool, addresses), ("agent", wanted.probe)
    return load_balancer(wanted.load_balancer_id, frontend, pool, probe)


def load_balancer(own: str, frontend: tuple[str, str], pool: tuple[str, list[Json]], probe: tuple[str, Probe]) -> Json:
    """An internal one of the Standard SKU with one rule for all ports; each part by its name.

    `frontend` with its address, `pool` with `loadBalancerBackendAddresses`.
    """
    (frontend_name, frontend_address), (pool_name, addresses), (probe_name, wanted) = frontend, pool, probe
    rule = {
        "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/{frontend_name}"},
        "backendAddressPool": {"id": f"{own}/backendAddressPools/{pool_name}"},
        "probe": {"id": f"{own}/probes/{probe_name}"},
        "protocol": "All",
        "frontendPort": 0,
        "backendPort": 0,
        "enableFloatingIP": True,
        "idleTimeoutInMinutes": 4,
        "loadDistribution": "Default",
    }
    probing = {
        "protocol": "Http",
        "port": wanted.port,
        "requestPath": wanted.path,
        "intervalInSeconds": wanted.interval_seconds,
        "numberOfProbes": wanted.threshold,
        "probeThreshold": wanted.threshold,
    }
    address = {"privateIPAddress": frontend_address, "privateIPAllocationMethod": "Static"}
    return {
        "name": own.rpartition("/")[2],
        "id": own,
        "type": "Microsoft.Network/loadBalancers",
        "location": LOCATION,
        "properties": {
            "provisioningState": "Succeeded",
            "frontendIPConfigurations": [{"name": frontend_name, "properties": address}],
            "backendAddressPools": [{"name": pool_name, "properties": {"loadBalancerBackendAddresses": addresses}}],
            "loadBalancingRules": [{"name": "all-ports", "properties": rule}],
            "probes": [{"name": probe_name, "properties": probing}],
            "inboundNatRules": [],
            "outboundRules": [],
        },
        "sku": {"name": "Standard", "tier": "Regional"},
    }
