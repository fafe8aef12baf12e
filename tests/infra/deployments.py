"""The deployments that are evaluated: every parameter file, as a person would deploy it at first and afterwards."""

from collections.abc import Mapping

from tests.infra.compiler import LOCATION, Snapshot, evaluated, planted

HUB = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub"
SPOKE, NVAS = HUB.replace("rg-hub", "rg-spoke"), HUB.replace("rg-hub", "rg-nva")
OTHER = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-other"


def network_id(kind: str, name: str, group: str = HUB) -> str:
    return f"{group}/providers/Microsoft.Network/{kind}/{name}"


VNET = network_id("virtualNetworks", "vnet-hub")
DEPLOYED = {"HOPKEEPER_IS_DEPLOYED": "true"}
# What everybody gives who deploys with azd, and then one of the ways in.
AZD = {
    "AZURE_LOCATION": LOCATION,
    "AZURE_RESOURCE_GROUP": "rg-hopkeeper",
    "HOPKEEPER_ROUTE_SERVERS": network_id("virtualHubs", "rs-hub"),
    "HOPKEEPER_VIRTUAL_NETWORK": VNET,
    "HOPKEEPER_APP_SUBNET_PREFIX": "10.0.9.0/27",
}
PUBLIC = {"HOPKEEPER_AGENT_SUBNETS": f"{VNET}/subnets/snet-nva"}
PRIVATE = {"HOPKEEPER_ENDPOINTS_SUBNET_PREFIX": "10.0.9.32/28"}
ENTRA = {
    "HOPKEEPER_ENTRA_CLIENT_ID": "11111111-2222-3333-4444-555555555555",
    "HOPKEEPER_ENTRA_TENANT": "99999999-8888-7777-6666-555555555555",
}
BROUGHT = {
    "HOPKEEPER_VIRTUAL_NETWORK": "",
    "HOPKEEPER_APP_SUBNET_PREFIX": "",
    "HOPKEEPER_APP_SUBNET_ID": f"{VNET}/subnets/snet-functions",
    "HOPKEEPER_APP_ROUTE_TABLE": network_id("routeTables", "rt-functions"),
    "HOPKEEPER_ENDPOINTS_SUBNET_ID": f"{VNET}/subnets/snet-endpoints",
    "HOPKEEPER_PRIVATE_DNS_ZONES": "elsewhere",
    "HOPKEEPER_CREATE_SYSTEM_TOPIC": "false",
    "HOPKEEPER_SYSTEM_TOPIC_NAME": "evgt-subscription",
    "HOPKEEPER_SYSTEM_TOPIC_GROUP": "rg-security",
}
LISTS = {
    "HOPKEEPER_ROUTE_SERVERS": f"{network_id('virtualHubs', 'rs-hub')},{network_id('virtualHubs', 'rs-other', OTHER)}",
    "HOPKEEPER_LOAD_BALANCERS": network_id("loadBalancers", "lb-nva"),
    "HOPKEEPER_BACKEND_NETWORKS": VNET,
    "HOPKEEPER_INTERFACES": network_id("networkInterfaces", "nva-a", NVAS),
    "HOPKEEPER_PEERED_NETWORKS": VNET,
    "HOPKEEPER_OWNED_PEERING_NETWORKS": network_id("virtualNetworks", "vnet-spoke", SPOKE),
    "HOPKEEPER_OWNED_ROUTE_SERVERS": network_id("virtualHubs", "rs-hub"),
    "HOPKEEPER_APPLIANCE_GROUPS": HUB,
    "HOPKEEPER_VIRTUAL_MACHINES": f"{HUB}/providers/Microsoft.Compute/virtualMachines/nva-a",
    "HOPKEEPER_SCALE_SETS": f"{HUB}/providers/Microsoft.Compute/virtualMachineScaleSets/nvas",
    "HOPKEEPER_LINKED_NETWORKS": network_id("virtualNetworks", "vnet-nva"),
    "HOPKEEPER_ALERT_EMAILS": "network-operations@example.com",
}
LAB = {
    "LAB_SSH_PUBLIC_KEY": "ssh-ed25519 AAAA operator",
    "LAB_ARTEFACT_URL": "https://example.com/hopkeeper-agent.pyz",
    "LAB_ARTEFACT_SHA256": "0" * 64,
    "LAB_APP_PUBLIC_KEYS": "-----BEGIN PUBLIC KEY-----\n",
}
MAIN, LAB_FILE = "main.bicepparam", "lab/lab.bicepparam"
EXAMPLES = tuple(f"examples/{name}.bicepparam" for name in ("single-hub", "two-hubs", "existing-network"))

# Of the app.
DEPLOYMENTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "first, public": (MAIN, AZD | PUBLIC),
    "again, public": (MAIN, AZD | PUBLIC | DEPLOYED),
    "first, private": (MAIN, AZD | PRIVATE),
    "again, private, everything": (MAIN, AZD | LISTS | PUBLIC | PRIVATE | ENTRA | DEPLOYED),
    "again, two hubs, brought subnets": (MAIN, AZD | LISTS | BROUGHT | DEPLOYED),
    **{f"first, {name}": (name, {}) for name in EXAMPLES},
    **{f"again, {name}": (name, DEPLOYED) for name in EXAMPLES},
}
FIRST, EVERYTHING, TOPIC_OF_OTHERS = "first, public", "again, private, everything", "again, two hubs, brought subnets"


def snapshot(deployment: str) -> Snapshot:
    return evaluated(*DEPLOYMENTS[deployment])


def app_settings(its: Snapshot) -> dict[str, str]:
    (found,) = (each for each in its.resources("Microsoft.Web/sites/config") if each["name"].endswith("/appsettings"))
    return dict(found["properties"])


INSTANCES = ("10.10.1.4", "10.10.1.5")


def lab() -> Snapshot:
    """With the addresses of the Route Server's instances, which only Azure knows and every machine is given, written in."""
    known = planted("lab/instances.bicep", "server.properties.virtualRouterIps", str(list(INSTANCES)))
    return evaluated(LAB_FILE, LAB, known)


def app_name(its: Snapshot) -> str:
    """What is Hopkeeper's own in a name: two of them may look after the same networks."""
    return str(its.one("Microsoft.Web/sites")["name"]).removeprefix("func-")
