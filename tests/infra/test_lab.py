"""The Azure lab: the documentation's names and addresses, keys and no password, and machines that install what is pinned."""

import base64
import email
import re
import sys
from datetime import timedelta
from email.message import Message
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Any

import pytest
import yaml
from hopkeeper_agent import config

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from tests.infra.compiler import INFRA, ROOT, Snapshot, at
from tests.infra.deployments import LAB, lab

FOLDER = INFRA / "lab"
CUSTOM_DATA_MAX = 65535  # bytes of base64: "Custom data and cloud-init on Azure Virtual Machines"
PLACEHOLDER = re.compile(r"@[A-Z][A-Z0-9_]+@")
NETWORK = "Microsoft.Network/"
VNET, MACHINE, CARD = f"{NETWORK}virtualNetworks", "Microsoft.Compute/virtualMachines", f"{NETWORK}networkInterfaces"
# The documentation's table ("Azure Route Server Next Hop IP Fast Failover", section 2.1).
NAMES = {
    f"{NETWORK}virtualNetworks": "next-hop-ip-vnet",
    f"{NETWORK}virtualHubs": "next-hop-ip-routeserver",
    f"{NETWORK}bastionHosts": "next-hop-ip-bastion",
    f"{NETWORK}routeTables": "next-hop-ip-rt",
    f"{NETWORK}publicIPAddresses": "routeserver-ip bastion-public-ip",
}
PREFIX = "10.10.0.0/16"
SUBNETS = {"default": "10.10.0.0/24", "RouteServerSubnet": "10.10.1.0/24", "AzureBastionSubnet": "10.10.2.0/24"}
MACHINES = {
    "ws1": ("10.10.0.4", "1"),
    "ws2": ("10.10.0.5", "2"),
    "lt1": ("10.10.0.6", "1"),
    "watch1": ("10.10.0.7", "1"),
}
SERVICES = ("100.64.0.1", "100.64.1.1")  # the documentation's VIP, and what is behind the NVAs
AGENTS = ("ws1", "ws2", "watch1", "nva1", "nva2")
LOAD_TESTER = "lt1"


def machines(its: Snapshot) -> dict[str, tuple[str, str]]:
    """Address and zone by name."""
    cards = {card["id"]: at(card, "properties.ipConfigurations.0.properties") for card in its.resources(CARD)}
    return {
        machine["name"]: (
            cards[at(machine, "properties.networkProfile.networkInterfaces.0.id")]["privateIPAddress"],
            *machine["zones"],
        )
        for machine in its.resources(MACHINE)
    }


def faults(its: Snapshot) -> list[str]:
    """What differs from the documentation, and what must not be."""
    return _missing(its) + _misplaced(its) + _addresses(its) + _prefixes(its) + _open(its)


def _missing(its: Snapshot) -> list[str]:
    named = {type_: {each["name"] for each in its.resources(type_)} for type_ in NAMES}
    return [
        f"there is no {name}" for type_, names in NAMES.items() for name in names.split() if name not in named[type_]
    ]


def _misplaced(its: Snapshot) -> list[str]:
    """Of the network and its subnets."""
    prefixes = at(its.one(VNET), "properties.addressSpace.addressPrefixes")
    subnets = {each["name"]: each["properties"]["addressPrefix"] for each in at(its.one(VNET), "properties.subnets")}
    wrong = [] if prefixes == [PREFIX] else [f"the network has {prefixes}"]
    wrong += [f"{name} is not {prefix}" for name, prefix in SUBNETS.items() if subnets.get(name) != prefix]
    networks = [IPv4Network(prefix) for prefix in subnets.values()]
    wrong += [f"{one} is outside of the network" for one in networks if not one.subnet_of(IPv4Network(PREFIX))]
    return wrong + [f"{a} and {b} overlap" for a, b in combinations(sorted(networks), 2) if a.overlaps(b)]


def _addresses(its: Snapshot) -> list[str]:
    """Of the machines and of the load balancer."""
    made = machines(its)
    wrong = [f"{name} is not as documented" for name, place in MACHINES.items() if made.get(name) != place]
    addresses = [address for address, *_ in made.values()]
    addresses += [
        at(each, "properties.privateIPAddress")
        for each in at(its.one(f"{NETWORK}loadBalancers"), "properties.frontendIPConfigurations")
    ]
    wrong += ["an address is given twice"] * (len(set(addresses)) != len(addresses))
    default = IPv4Network(SUBNETS["default"])
    return wrong + [f"{one} is in no subnet" for one in addresses if IPv4Address(one) not in default]


def _prefixes(its: Snapshot) -> list[str]:
    """What the security group lets pass."""
    passing = {prefix for rule in _rules(its) for prefix in rule["sourceAddressPrefixes"]}
    wrong = [f"{one} does not pass" for one in SERVICES if f"{one}/32" not in passing]
    own = IPv4Network(PREFIX)
    others = sorted(passing - {PREFIX})
    return wrong + [f"{one} is the platform's to route" for one in others if IPv4Network(one).overlaps(own)]


def _rules(its: Snapshot) -> list[dict[str, Any]]:
    return [each["properties"] for each in at(its.one(f"{NETWORK}networkSecurityGroups"), "properties.securityRules")]


def _open(its: Snapshot) -> list[str]:
    """What takes a packet, a password or a person that it must not; what keeps a route from the machines."""
    wrong = [f"{each['name']} is not of SKU Standard" for each in its.resources(f"{NETWORK}publicIPAddresses")
             if at(each, "sku.name") != "Standard"]  # fmt: skip
    for table in its.resources(f"{NETWORK}routeTables"):
        wrong += ["the Route Server's routes are kept"] * (
            at(table, "properties.disableBgpRoutePropagation") is not False
        )
    for card in its.resources(CARD):
        wrong += ["a machine has a public address"] * ("publicIPAddress" in str(card))
        wrong += ["a machine takes its own packets only"] * (at(card, "properties.enableIPForwarding") is not True)
    for machine in its.resources(MACHINE):
        profile = machine["properties"]["osProfile"]
        wrong += ["passwords are taken"] * (at(profile, "linuxConfiguration.disablePasswordAuthentication") is not True)
        wrong += ["a password"] * ("adminPassword" in profile)
        wrong += ["no key"] * (at(profile, "linuxConfiguration.ssh.publicKeys.0.keyData") != LAB["LAB_SSH_PUBLIC_KEY"])
    return wrong


def test_the_lab_is_as_documented_with_the_vip_outside_and_no_password() -> None:
    assert faults(lab()) == []
    assert set(machines(lab())) == {*AGENTS, LOAD_TESTER}


@pytest.mark.parametrize(
    ("type_", "path", "value", "named"),
    [
        (CARD, "properties.ipConfigurations.0.properties.privateIPAddress", "10.10.0.9", "lt1 is not as documented"),
        (CARD, "properties.ipConfigurations.0.properties.privateIPAddress", "10.10.0.4", "twice"),
        (CARD, "properties.ipConfigurations.0.properties.privateIPAddress", "10.10.7.4", "in no subnet"),
        (CARD, "properties.ipConfigurations.0.properties.publicIPAddress", {}, "a public address"),
        (CARD, "properties.enableIPForwarding", False, "its own packets only"),
        (VNET, "properties.subnets.2.properties.addressPrefix", "10.10.1.0/25", "overlap"),
        (VNET, "properties.addressSpace.addressPrefixes.0", "100.64.0.0/16", "the network has"),
        (VNET, "name", "vnet", "there is no next-hop-ip-vnet"),
        (f"{NETWORK}networkSecurityGroups", "properties.securityRules.0.properties.sourceAddressPrefixes.1", "10.10.15.15/32",
         "10.10.15.15/32 is the platform's to route"),
        (f"{NETWORK}networkSecurityGroups", "properties.securityRules", [], "100.64.0.1 does not pass"),
        (f"{NETWORK}routeTables", "properties.disableBgpRoutePropagation", True, "routes are kept"),
        (f"{NETWORK}publicIPAddresses", "sku.name", "Basic", "not of SKU Standard"),
        (MACHINE, "properties.osProfile.linuxConfiguration.disablePasswordAuthentication", False, "passwords are taken"),
        (MACHINE, "properties.osProfile.adminPassword", "hopkeeper", "a password"),
        (MACHINE, "properties.osProfile.linuxConfiguration.ssh.publicKeys", [], "no key"),
    ],
)  # fmt: skip
def test_a_lab_that_differs_is_named(type_: str, path: str, value: object, named: str) -> None:
    assert any(named in fault for fault in faults(lab().spoilt(type_, path, value)))


def test_the_readme_has_the_values_of_the_bicep() -> None:
    readme = (FOLDER / "README.md").read_text()
    cells = dict(re.findall(r"^\| (.+?) \| (.+) \|$", readme, re.M))
    for name, (address, zone) in machines(lab()).items():
        assert cells[f"`{name}`"].startswith(f"{address}, zone {zone}:")
    (frontend,) = at(lab().one(f"{NETWORK}loadBalancers"), "properties.frontendIPConfigurations")
    shown = (
        *NAMES.values(),
        *SUBNETS.values(),
        PREFIX,
        f"{SERVICES[0]}/32",
        at(frontend, "properties.privateIPAddress"),
    )
    for value in " ".join(shown).split():
        assert any(value in cell for cell in cells.values()), value
    linked = re.findall(r"\]\(([\w./-]+)\)", readme)
    assert [link for link in linked if not (FOLDER / link).exists()] == []


# --- what a machine is given at its first boot


def user_data(name: str) -> str:
    (machine,) = [each for each in lab().resources(MACHINE) if each["name"] == name]
    given = at(machine, "properties.osProfile.customData")
    assert len(given) <= CUSTOM_DATA_MAX
    return base64.b64decode(given).decode()


@pytest.mark.parametrize("name", AGENTS)
def test_a_machines_first_boot_installs_its_agent_and_what_the_lab_serves(name: str) -> None:
    given = user_data(name)
    cloud_init, script = parts(given)
    assert cloud_init.startswith("#cloud-config\n")
    assert script.startswith("#!/bin/sh\n")
    section = agent_of(name).agent
    assert (section.identity.agent, str(section.address)) == (name, machines(lab())[name][0])
    assert cloud_init.count(LAB["LAB_ARTEFACT_SHA256"]) >= 2
    for program in ("lab/echo.py", "lab/packets/watcher.py"):
        assert base64.b64encode((ROOT / program).read_bytes()).decode() in script
    assert unfilled(given) == []


def unfilled(given: str) -> list[str]:
    """What stands between at signs and in no comment: a value that was not filled in."""
    return PLACEHOLDER.findall(re.sub(r"(?m)^#   .*$", "", given))


def test_a_value_that_is_not_given_is_seen_and_the_load_tester_has_its_own() -> None:
    assert unfilled(user_data("ws1") + "\nip address add @VIP@") == ["@VIP@"]
    assert unfilled(user_data(LOAD_TESTER)) == []


def parts(given: str) -> tuple[str, str]:
    """The cloud-config and the script of a message, as cloud-init takes it apart."""
    message = email.message_from_string(given)
    found = message.get_payload()
    assert isinstance(found, list)
    kinds = [part.get_content_type() for part in found if isinstance(part, Message)]
    assert kinds == ["text/cloud-config", "text/x-shellscript"]
    cloud_init, script = (str(part.get_payload()) for part in found if isinstance(part, Message))
    return cloud_init, script


def agent_of(name: str) -> config.Config:
    document: dict[str, Any] = yaml.safe_load(parts(user_data(name))[0])
    toml = next(one["content"] for one in document["write_files"] if one["path"].endswith("agent.toml"))
    return config.decode(base64.b64decode(toml).decode())


def asn_of(agent: config.Config) -> int | None:
    return agent.speaker.settings.asn if agent.speaker else None


def test_the_topology_names_the_machines_of_the_bicep_as_their_agents_do() -> None:
    topology = decode((FOLDER / "topology.yaml").read_text(), Place())
    addresses = {name: address for name, (address, _) in machines(lab()).items()}
    del addresses[LOAD_TESTER]
    assert {speaker.name: str(speaker.address) for speaker in topology.speakers} == addresses
    agents = {speaker.name: agent_of(speaker.name) for speaker in topology.speakers}
    assert {agent.agent.identity.topology for agent in agents.values()} == {topology.name}
    asns = {name: asn_of(agent) for name, agent in agents.items()}
    assert asns == {speaker.name: speaker.asn if speaker.peers_with else None for speaker in topology.speakers}
    # A series of failovers must not be spaced, and the bounds are those of the agents' checks.
    assert topology.timing.spacing_step == topology.timing.spacing_max == timedelta()
    checks = [check for agent in agents.values() for check in agent.checks if check.name == "data-path"]
    assert {(check.period_seconds, check.fall) for check in checks} == {
        (topology.timing.check_period.total_seconds(), topology.timing.check_fall)
    }


def test_the_topology_uses_the_load_balancer_s_own_names() -> None:
    topology = decode((FOLDER / "topology.yaml").read_text(), Place())
    balancer = str(lab().one(f"{NETWORK}loadBalancers"))
    assert [one.name for one in topology.services] == ["vip", "egress"]
    assert all(f"'{each}'" in balancer for each in ("fe", "nvas", "hopkeeper", "/probe/egress"))


def test_the_programs_that_are_copied_need_nothing_else() -> None:
    """They run on the lab's machines, which have Python and no library of ours."""
    for path in ("echo.py", "packets/watcher.py", "packets/prober.py", "packets/fault_runner.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", (ROOT / "lab" / path).read_text(), re.M)
        assert set(imported) <= sys.stdlib_module_names, path
