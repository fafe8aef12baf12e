"""A day of an administrator with Azure's real command line against the simulator's process: what each command answers.

Each step has the source of what it expects. The commands run in one process of `az`, as its own tests run them.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator import clients
from simulator.resources import Json
from simulator.seeds import SUBSCRIPTION, HubSeed, hub_seed

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin"
WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
SCOPE = WANTED.network_scope
SUBNET = f"{SCOPE}/virtualNetworks/vnet-hub/subnets/RouteServerSubnet"
READY_SECONDS = 60

CLI = "what azure-cli 2.91 makes of the answer"
CRUD = "Azure/azure-powershell at d89a87d2, RouteServerTests/TestRouteServerCRUD.json"
PEERS = "Azure/azure-powershell, RouteServerTests/TestRouteServerPeerRoutes.json"
GROUPS = "Azure/azure-cli at 045b6e1a, resource/tests/latest/recordings/test_resource_group.yaml"
POWER = "learn.microsoft.com, States and billing status of Azure Virtual Machines"
PEERING = "learn.microsoft.com, Virtual network peering: Initiated, Connected, Disconnected"
IN_USE = "aka.ms/deletenic, aka.ms/deletesubnet, aka.ms/deletepublicip"
SPEC = "Azure/azure-rest-api-specs, Microsoft.Network stable/2025-05-01"
INSIGHTS = "learn.microsoft.com, Azure Monitor REST API reference"
EVENTS = "cloud-custodian, AzureEventSubscriptionsTest.test_azure_event_subscription_policy_run"
GATEWAYS = "a capture of a gateway (index id 21327877162), and azure-cli 2.91's own command"
SEED = "the seed"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what its JSON is, or the words in its refusal, and where that is from."""

    command: str
    source: str
    expected: Any = None
    refused: str = ""


def seed() -> Json:
    document = hub_seed(WANTED)
    subnets = [
        {"name": "RouteServerSubnet", "properties": {"addressPrefix": "10.0.0.0/27"}},
        {"name": "nva", "properties": {"addressPrefix": "10.0.1.0/24"}},
    ]
    gateway = f"{SCOPE}/virtualNetworkGateways/gw"
    group = f"{SCOPE}/networkSecurityGroups/nsg"
    rule = {
        "name": "bgp",
        "properties": {"priority": 100, "access": "Allow", "direction": "Inbound", "protocol": "Tcp"},
    }
    document["resources"] += [
        _resource("virtualNetworks/vnet-hub", addressSpace={"addressPrefixes": ["10.0.0.0/16"]}, subnets=subnets),
        _resource("virtualNetworks/vnet-spoke", addressSpace={"addressPrefixes": ["10.1.0.0/16"]}, subnets=[]),
        _resource("publicIPAddresses/pip", ipAddress="20.0.0.4"),
        _resource("virtualNetworkGateways/gw"),
        _resource("networkSecurityGroups/nsg", securityRules=[rule]),
        _resource("networkInterfaces/guarded-nic", networkSecurityGroup={"id": group}, ipConfigurations=[]),
    ]
    learned = {"localAddress": "10.0.2.4", "network": "192.168.0.0/16", "nextHop": "10.0.2.5", "asPath": "65010"}
    peer = {"localAddress": "10.0.2.4", "neighbor": "10.0.2.5", "asn": 65010, "state": "Connected"}
    document["gateways"] = {gateway: {"learnedRoutes": [learned], "bgpPeerStatus": [peer]}}
    return document


def _resource(name: str, **facts: Any) -> Json:
    return {"id": f"{SCOPE}/{name}", "location": "uksouth", "properties": facts}


GROUP = "-g rg-hub"
RS = f"{GROUP} --routeserver rs-two"
HUB_NET, SPOKE_NET = f"{GROUP} --vnet-name vnet-hub", f"{GROUP} --vnet-name vnet-spoke"
BALANCER = f"--resource {WANTED.load_balancer_id}"
TAGS = json.dumps({"tags": {"c": "d"}})
INTERFACES = "microsoft.network/networkinterfaces"

MORNING = (
    Step("account show --query id", GROUPS, SUBSCRIPTION),
    Step("account list-locations --query \"[?name=='uksouth'].displayName\"", CLI, ["UK South"]),
    Step("group exists -n rg-hub", GROUPS, True),
    Step("group exists -n nowhere", GROUPS, False),
    Step("group list --query [].name", GROUPS, ["rg-hub"]),
    Step("group show -n rg-hub --query properties.provisioningState", GROUPS, "Succeeded"),
    Step("group show -n nowhere", GROUPS, refused="ResourceGroupNotFound"),
    Step("group create -n rg-new -l uksouth --tags a=b --query [name,tags.a]", GROUPS, ["rg-new", "b"]),
    Step("group list --query length(@)", GROUPS, 2),
    Step("group update -n rg-new --tags c=d --query tags", GROUPS, {"c": "d"}),
    Step("provider show -n Microsoft.Network --query registrationState", INSIGHTS, "Registered"),
    Step("provider list --query \"length([?registrationState=='Registered']) > `3`\"", INSIGHTS, True),
    Step("provider show -n Microsoft.Nothing", INSIGHTS, refused="InvalidResourceNamespace"),
    Step(f"resource list {GROUP} --resource-type {INTERFACES} --query length(@)", SEED, 3),
    Step(f"resource show --ids {WANTED.load_balancer_id} --query name", SEED, "lb-nva"),
    Step("resource list -n vnet-hub --query [].type", SEED, ["Microsoft.Network/virtualNetworks"]),
)
ROUTE_SERVER = (
    Step(f"network routeserver list {GROUP} --query [].name", SEED, ["rs-hub"]),
    Step(
        f"network routeserver create {GROUP} -n rs-two --hosted-subnet {SUBNET} --public-ip-address pip"
        " --query [routingState,virtualRouterAsn,virtualRouterIps]",
        CRUD,
        ["Provisioned", 65515, ["10.0.0.5", "10.0.0.4"]],
    ),
    Step(
        f"network routeserver create {GROUP} -n rs-two --hosted-subnet {SUBNET} --public-ip-address pip",
        CLI,
        refused="exists",
    ),
    Step(f"network routeserver show {GROUP} -n rs-two --query kind", CRUD, "RouteServer"),
    Step(
        f"network routeserver peering create {RS} -n a --peer-ip 10.0.1.4 --peer-asn 65001 --query [peerAsn,peerIp]",
        PEERS,
        [65001, "10.0.1.4"],
    ),
    Step(f"network routeserver peering show {RS} -n a --query provisioningState", PEERS, "Succeeded"),
    Step(f"network routeserver peering list {RS} --query [].name", PEERS, ["a"]),
    Step(
        f"network routeserver peering list-learned-routes {RS} -n a",
        PEERS,
        {"RouteServiceRole_IN_0": [], "RouteServiceRole_IN_1": []},
    ),
    Step(f"network routeserver peering list-advertised-routes {RS} -n a --query RouteServiceRole_IN_0", PEERS, []),
    Step(f"network routeserver peering show {RS} -n b", PEERS, refused="NotFound"),
    Step(
        f"network routeserver update {GROUP} -n rs-two --hub-routing-preference ASPath --query hubRoutingPreference",
        CRUD,
        "ASPath",
    ),
    Step(f"network routeserver peering delete {RS} -n a --yes", PEERS),
    Step(f"network routeserver peering list {RS}", PEERS, []),
    Step(f"network public-ip delete {GROUP} -n pip", IN_USE, refused="PublicIPAddressCannotBeDeleted"),
    Step(f"network vnet delete {GROUP} -n vnet-hub", IN_USE, refused="InUseSubnetCannotBeDeleted"),
    Step(f"network routeserver delete {GROUP} -n rs-two --yes", CRUD),
    Step(f"network routeserver show {GROUP} -n rs-two", CRUD, refused="ResourceNotFound"),
    Step(f"network public-ip delete {GROUP} -n pip", IN_USE),
)
NETWORKS = (
    Step(
        f"network vnet peering create {HUB_NET} -n to-spoke --remote-vnet vnet-spoke --allow-vnet-access --query peeringState",
        PEERING,
        "Initiated",
    ),
    Step(
        f"network vnet peering create {SPOKE_NET} -n to-hub --remote-vnet vnet-hub --allow-vnet-access --query peeringState",
        PEERING,
        "Connected",
    ),
    Step(f"network vnet peering show {HUB_NET} -n to-spoke --query peeringState", PEERING, "Connected"),
    Step(f"network vnet peering list {HUB_NET} --query [].name", SPEC, ["to-spoke"]),
    Step(f"network vnet peering delete {SPOKE_NET} -n to-hub", PEERING),
    Step(f"network vnet peering show {HUB_NET} -n to-spoke --query peeringState", PEERING, "Disconnected"),
    Step(f"network vnet peering show {SPOKE_NET} -n to-hub", PEERING, refused="NotFound"),
    Step(f"network vnet show {GROUP} -n vnet-hub --query subnets[].name", SEED, ["RouteServerSubnet", "nva"]),
    Step(f"network vnet subnet show {HUB_NET} -n nva --query addressPrefix", SEED, "10.0.1.0/24"),
    Step(f"network nic list {GROUP} --query length(@)", SEED, 3),
    Step(f"network nic show {GROUP} -n nva-a-nic --query ipConfigurations[0].privateIPAddress", SEED, "10.0.1.4"),
    Step(f"network nic list-effective-nsg {GROUP} -n nva-a-nic --query value", SPEC, []),
    Step(
        f'network nic list-effective-nsg {GROUP} -n guarded-nic --query "value[0].effectiveSecurityRules[0:2].name"',
        SPEC,
        ["securityRules/bgp", "defaultSecurityRules/AllowVnetInBound"],
    ),
    Step(f"network nic show-effective-route-table {GROUP} -n nva-a-nic --query value", SPEC, []),
    Step(f"network vnet-gateway list-learned-routes {GROUP} -n gw --query value[].asPath", SPEC, ["65010"]),
    Step(f"network vnet-gateway list-bgp-peer-status {GROUP} -n gw --query value[].state", SPEC, ["Connected"]),
    Step(
        f"network vnet-gateway list-advertised-routes {GROUP} -n gw --peer 10.0.2.5", SEED, refused="MethodNotAllowed"
    ),
    Step(f"network vnet subnet create {SPOKE_NET} -n GatewaySubnet --address-prefixes 10.1.0.0/27 --query name", SPEC),
    Step(f"network public-ip create {GROUP} -n pip-gw --sku Standard --query publicIp.name", SPEC, "pip-gw"),
    Step(
        f"network vnet-gateway create {GROUP} -n gw-two --vnet vnet-spoke --public-ip-address pip-gw --sku VpnGw1"
        " --query vnetGateway.[name,gatewayType,provisioningState]",
        GATEWAYS,
        ["gw-two", "Vpn", "Succeeded"],
    ),
    Step(f"network vnet-gateway list {GROUP} --query [].name", SPEC, ["gw", "gw-two"]),
    Step(f"network public-ip delete {GROUP} -n pip-gw", IN_USE, refused="PublicIPAddressCannotBeDeleted"),
    Step(f"network vnet-gateway delete {GROUP} -n gw-two", SPEC),
    Step(f"network vnet-gateway show {GROUP} -n gw-two", CRUD, refused="ResourceNotFound"),
    Step(f"network public-ip delete {GROUP} -n pip-gw", IN_USE),
    Step(f"network nic update {GROUP} -n nva-b-nic --set tags.a=b --query tags", SPEC, {"a": "b"}),
    Step(f"resource patch --ids {SCOPE}/networkInterfaces/nva-b-nic --is-full-object --properties '{TAGS}'", SPEC),
    Step(f"network nic show {GROUP} -n nva-b-nic --query tags", SPEC, {"c": "d"}),
)
MACHINES = (
    Step(f"vm list {GROUP} --query [].name", SEED, ["nva-a", "nva-b"]),
    Step(f"vm show -d {GROUP} -n nva-a --query [powerState,privateIps]", POWER, ["VM running", "10.0.1.4"]),
    Step(f"vm deallocate {GROUP} -n nva-a", POWER),
    Step(
        f"vm get-instance-view {GROUP} -n nva-a --query instanceView.statuses[1].code", POWER, "PowerState/deallocated"
    ),
    Step(f"vm start {GROUP} -n nva-a", POWER),
    Step(f"vm show -d {GROUP} -n nva-a --query powerState", POWER, "VM running"),
    Step(f"vm stop {GROUP} -n nva-a", POWER),
    Step(f"vm show -d {GROUP} -n nva-a --query powerState", POWER, "VM stopped"),
    Step(f"vm restart {GROUP} -n nva-a", POWER),
    Step(f"vm list -d {GROUP} --query [].powerState", POWER, ["VM running", "VM running"]),
    Step(f"vm start {GROUP} -n nva-z", CRUD, refused="ResourceNotFound"),
    Step(
        f"vm create {GROUP} -n nva-z --image Ubuntu2204 --nics nva-b-nic --admin-username me --admin-password Secret-12345",
        SEED,
        refused="The simulator does not simulate Microsoft.Compute/locations/publishers",
    ),
    Step("network express-route list", SEED, refused="does not simulate Microsoft.Network/expressRouteCircuits"),
)
BALANCERS = (
    Step(f"network lb list {GROUP} --query [].name", SEED, ["lb-nva"]),
    Step(f"network lb show {GROUP} -n lb-nva --query sku.name", SEED, "Standard"),
    Step(f"network lb probe list {GROUP} --lb-name lb-nva --query [].name", SEED, ["agent"]),
    Step(f"network lb rule show {GROUP} --lb-name lb-nva -n all-ports --query protocol", SEED, "All"),
    Step(f"network lb frontend-ip list {GROUP} --lb-name lb-nva --query [].privateIPAddress", SEED, ["10.0.1.100"]),
    Step(f"network lb address-pool show {GROUP} --lb-name lb-nva -n nvas --query name", SEED, "nvas"),
    Step('monitor activity-log list --offset 1h --query "length(@) > `5`"', INSIGHTS, True),
    Step(
        f"monitor activity-log list {GROUP} --offset 1h --query \"[?contains(operationName.value,'Hubs/delete')]|[0].status\"",
        INSIGHTS,
        {"localizedValue": "Succeeded", "value": "Succeeded"},
    ),
    Step("eventgrid event-subscription list --location global", EVENTS, []),
    Step(f"network lb delete {GROUP} -n lb-nva", SPEC),
    Step(f"network lb show {GROUP} -n lb-nva", CRUD, refused="ResourceNotFound"),
)
EVENING = (
    Step(f"network nic delete {GROUP} -n nva-a-nic", IN_USE, refused="NicInUse"),
    Step(f"vm delete {GROUP} -n nva-a --yes", SPEC),
    Step(f"network nic delete {GROUP} -n nva-a-nic", IN_USE),
    Step("group delete -n rg-new --yes", CRUD),
    Step("group delete -n rg-hub --yes", CRUD),
    Step("group exists -n rg-hub", GROUPS, False),
)
DAY = (*MORNING, *ROUTE_SERVER, *NETWORKS, *MACHINES, *BALANCERS, *EVENING)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an `az` that is logged in at a simulator, which finds everything by ARM's endpoint alone."""
    if not (AZ / "az").exists():
        pytest.skip("Azure's command line is not installed (make az installs it): the day was not tried")
    (tmp_path / "seed.json").write_text(json.dumps(seed()))
    arguments = ("--seed", str(tmp_path / "seed.json"), "--state", str(tmp_path), "--time-factor", "1000")
    with subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        try:
            arm = served.stdout.readline().split()[1]
            env = {
                **os.environ,
                "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
                "AZURE_CONFIG_DIR": str(tmp_path / "az"),
            }
            log_in(env, arm)
            yield env
        finally:
            served.send_signal(signal.SIGTERM)
            served.wait(READY_SECONDS)


def log_in(env: dict[str, str], arm: str) -> None:
    commands = tuple(command.removeprefix("az ") for command in clients.register(arm))
    assert [one["error"] for one in run(env, commands) if one["code"] != 0] == []


def run(env: dict[str, str], commands: tuple[str, ...]) -> list[Json]:
    lines = "".join(json.dumps(shlex.split(command)) + "\n" for command in commands)
    runner = [str(AZ / "python"), str(Path(__file__).with_name("az_runner.py"))]
    done = subprocess.run(runner, input=lines, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(300)
def test_each_command_of_an_administrators_day_is_answered_as_azure_answers_it(shell: dict[str, str]) -> None:
    assert len(DAY) >= 60
    answers = run(shell, tuple(step.command for step in DAY))
    faults = [fault for step, answer in zip(DAY, answers, strict=True) if (fault := faulty(step, answer))]
    assert faults == []


def faulty(step: Step, answer: Json) -> str | None:
    if step.refused:
        is_refused = answer["code"] != 0 and step.refused in answer["error"]
        return None if is_refused else f"az {step.command}: not refused with {step.refused}: {answer} ({step.source})"
    if answer["code"] != 0:
        return f"az {step.command}: {answer['error'][:500]} ({step.source})"
    said = json.loads(answer["out"]) if answer["out"].strip() else None
    if step.expected is None or said == step.expected:
        return None
    return f"az {step.command}: {said!r}, not {step.expected!r} ({step.source})"
