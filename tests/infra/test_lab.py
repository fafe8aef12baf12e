"""The Azure lab: the documentation's names and addresses, keys and no password, and machines that install what is pinned."""

import base64
import email
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from email.message import Message
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
import yaml
from hopkeeper_agent import config
from hopkeeper_agent.speakers.exabgp_configuration import BgpSettings
from tree_sitter import Node

from function_app.domain.topology_document import decode
from function_app.domain.topology_laws import Place
from tests.infra.bicep_text import INFRA, ROOT, files, leaves, parsed, planted, strings, text

LAB = INFRA / "lab"
CUSTOM_DATA_MAX = 65535  # bytes of base64: "Custom data and cloud-init on Azure Virtual Machines"
PLACEHOLDER = re.compile(r"@[A-Z][A-Z0-9_]+@")
# The documentation's table ("Azure Route Server Next Hop IP Fast Failover", section 2.1).
NAMES = {
    "network": "next-hop-ip-vnet",
    "routeServer": "next-hop-ip-routeserver",
    "routeServerAddress": "routeserver-ip",
    "bastion": "next-hop-ip-bastion",
    "bastionAddress": "bastion-public-ip",
    "routeTable": "next-hop-ip-rt",
}
PREFIXES = {
    "network": "10.10.0.0/16",
    "machines": "10.10.0.0/24",
    "routeServer": "10.10.1.0/24",
    "bastion": "10.10.2.0/24",
}
VIP = "100.64.0.1"
MACHINES = {
    "ws1": ("10.10.0.4", "1"),
    "ws2": ("10.10.0.5", "2"),
    "lt1": ("10.10.0.6", "1"),
    "watch1": ("10.10.0.7", "1"),
}
NVAS = {"nva1", "nva2"}
INSTANCES = ["10.10.1.4", "10.10.1.5"]


def lab(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: content for name, content in texts.items() if name.startswith("lab/")}


def variables(texts: Mapping[str, str], name: str = "lab/main.bicep") -> dict[str, Node]:
    return parsed({name: texts[name]})[name].variables()


def literal(node: Node) -> str:
    return text(node).strip("'")


def table(node: Node) -> dict[str, str]:
    return {path: literal(value) for path, value in leaves(node)}


def machines(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found = variables(texts)
    every = [*found["machines"].named_children, found["loadTester"]]
    return {one["name"]: one for one in map(table, every)}


def faults(texts: Mapping[str, str]) -> list[str]:
    """What differs from the documentation, and what must not be."""
    found = variables(texts)
    prefixes, made = table(found["prefixes"]), machines(texts)
    network = IPv4Network(prefixes["network"])
    wrong = [f"{key} is not {value}" for key, value in NAMES.items() if table(found["names"]).get(key) != value]
    wrong += [f"{key} is not {value}" for key, value in PREFIXES.items() if prefixes.get(key) != value]
    wrong += [f"{name} is not as documented" for name, at in MACHINES.items()
              if (made[name]["address"], made[name]["zone"]) != at]  # fmt: skip
    wrong += [] if literal(found["vip"]) == VIP else ["the VIP is another"]
    subnets = [IPv4Network(prefix) for key, prefix in prefixes.items() if key != "network"]
    wrong += [f"{one} is outside of the network" for one in subnets if not one.subnet_of(network)]
    wrong += [f"{a} and {b} overlap" for a in subnets for b in subnets if a < b and a.overlaps(b)]
    addresses = [one["address"] for one in made.values()] + [literal(found["frontend"])]
    wrong += ["an address is given twice"] * (len(set(addresses)) != len(addresses))
    inside = IPv4Network(prefixes["machines"])
    wrong += [f"{one} is in no subnet" for one in addresses if IPv4Address(one) not in inside]
    services = [IPv4Address(literal(found[name])) for name in ("vip", "behindNvas")]
    wrong += [f"{one} is inside of the network" for one in services if one in network]
    return wrong + _resource_faults(texts)


def _resource_faults(texts: Mapping[str, str]) -> list[str]:
    wrong = []
    for name, source in parsed(lab(texts)).items():
        for one in source.resources():
            kind, values = one.type.split("@")[0].removeprefix("Microsoft."), one.values
            if kind == "Network/virtualNetworks":
                given = values["properties.addressSpace.addressPrefixes"]
                wrong += [] if given == ("[prefix]",) else [f"the network has more than its prefix: {given}"]
            if kind == "Network/publicIPAddresses" and values.get("sku.name") != ("Standard",):
                wrong.append(f"{name}: {one.symbol} is not of SKU Standard")
            if kind == "Network/routeTables" and values["properties.disableBgpRoutePropagation"] != ("false",):
                wrong.append("the Route Server's routes are kept from the subnet")
            if kind == "Network/networkInterfaces":
                wrong += ["a machine has a public address"] * any("publicIPAddress" in path for path in one.paths)
                wrong += ["a machine takes its own packets only"] * (
                    values.get("properties.enableIPForwarding") != ("true",)
                )
            if kind == "Compute/virtualMachines":
                linux = "properties.osProfile.linuxConfiguration"
                wrong += ["a password"] * any("password" in path.lower() for path in one.paths if linux not in path)
                wrong += ["passwords are taken"] * (values.get(f"{linux}.disablePasswordAuthentication") != ("true",))
                wrong += ["no key"] * (f"{linux}.ssh.publicKeys[].keyData" not in one.paths)
        wrong += [
            f"{name}: a secret parameter {each.name}" for each in source.parameters() if "secure" in each.decorators
        ]
    return wrong


def test_the_lab_is_as_documented_with_the_vip_outside_and_no_password() -> None:
    assert faults(files()) == []
    assert set(machines(files())) == set(MACHINES) | NVAS


@pytest.mark.parametrize(
    ("name", "old", "new", "named"),
    [
        ("main", "address: '10.10.0.6'", "address: '10.10.0.9'", "lt1 is not as documented"),
        ("main", "var vip = '100.64.0.1'", "var vip = '10.10.15.15'", "10.10.15.15 is inside of the network"),
        ("main", "bastion: '10.10.2.0/24'", "bastion: '10.10.1.0/25'", "overlap"),
        ("main", "frontend = '10.10.0.20'", "frontend = '10.10.0.11'", "twice"),
        ("main", "'next-hop-ip-rt'", "'rt'", "routeTable is not next-hop-ip-rt"),
        ("network", "addressPrefixes: [prefix]", "addressPrefixes: [prefix, '100.64.0.1/32']", "more than its prefix"),
        ("network", "disableBgpRoutePropagation: false", "disableBgpRoutePropagation: true", "kept from the subnet"),
        ("route-server", "'Standard' }", "'Basic' }", "not of SKU Standard"),
        (
            "machine",
            "disablePasswordAuthentication: true",
            "disablePasswordAuthentication: false",
            "passwords are taken",
        ),
        (
            "machine",
            "adminUsername: adminUser",
            "adminUsername: adminUser\n      adminPassword: adminUser",
            "a password",
        ),
        ("machine", "enableIPForwarding: true", "enableIPForwarding: false", "its own packets only"),
        ("machine", "zones: [zone]", "zones: [zone]\n  tags: {}", None),
        (
            "machine",
            "subnet: { id: subnetId }",
            "subnet: { id: subnetId }\n          publicIPAddress: { id: subnetId }",
            "a public address",
        ),
    ],
)
def test_a_lab_that_differs_is_named(name: str, old: str, new: str, named: str | None) -> None:
    found = faults(planted(f"lab/{name}.bicep", old, new))
    assert found == [] if named is None else any(named in fault for fault in found)


def test_the_readme_tells_the_values_of_the_bicep() -> None:
    readme = (LAB / "README.md").read_text()
    cells = dict(re.findall(r"^\| (.+?) \| (.+) \|$", readme, re.M))
    for one in machines(files()).values():
        assert cells[f"`{one['name']}`"].startswith(f"{one['address']}, zone {one['zone']}:")
    for value in (*NAMES.values(), *PREFIXES.values(), f"{VIP}/32", literal(variables(files())["frontend"])):
        assert any(value in cell for cell in cells.values()), value
    linked = re.findall(r"\]\(([\w./-]+)\)", readme)
    assert [link for link in linked if not (LAB / link).exists()] == []


# --- what a machine is given at its first boot


def placeholders(content: str) -> set[str]:
    """In what is not a comment at the top of a file."""
    return set(PLACEHOLDER.findall("\n".join(line for line in content.splitlines() if not line.startswith("#   @"))))


def filled(template: str, values: Mapping[str, str]) -> str:
    for key, value in sorted(values.items()):
        template = template.replace(f"@{key}@", value)
    return template


def test_every_value_between_at_signs_is_given_and_no_other() -> None:
    source = variables(files(), "lab/agent-machine.bicep")
    templates = {
        "inConfiguration": "".join(path.read_text() for path in sorted((LAB / "machines").glob("*.toml"))),
        "inCloudInit": (ROOT / "nva_agent" / "packaging" / "cloud-init.yaml").read_text(),
        "inScript": (LAB / "machines" / "data-path.sh").read_text(),
        "inUserData": (LAB / "machines" / "user-data.txt").read_text(),
    }
    for name, content in templates.items():
        given = {f"@{path}@" for path, _ in leaves(source[name]) if "." not in path}
        assert placeholders(content) == given, name


def test_every_file_that_the_bicep_reads_is_there() -> None:
    read = []
    for name, content in lab(files()).items():
        calls = re.findall(r"(?:loadTextContent|loadFileAsBase64)\('([^']+)'\)", content)
        read += [(INFRA / name).parent / path for path in calls]
    assert len(read) >= 9
    assert [path for path in read if not path.is_file()] == []


def user_data(name: str) -> str:
    """What agent-machine.bicep makes of its templates."""
    one = machines(files())[name]
    found = variables(files())
    kinds = {path: next(strings(value)).strip("'") for path, value in leaves(found["configurations"])}
    services = {"server": VIP, "injector": "", "nva": literal(found["behindNvas"])}
    toml = filled(
        (LAB / kinds[one["kind"]]).read_text(),
        {"NAME": name, "ADDRESS": one["address"], "ROUTE_SERVER_1": INSTANCES[0], "ROUTE_SERVER_2": INSTANCES[1]},
    )
    cloud_init = filled(
        (ROOT / "nva_agent" / "packaging" / "cloud-init.yaml").read_text(),
        {
            "NAME": name,
            "ARTEFACT_URL": "https://example.com/hopkeeper-agent.pyz",
            "ARTEFACT_SHA256": "0" * 64,
            "AGENT_TOML_BASE64": base64.b64encode(toml.encode()).decode(),
            "APP_KEYS_BASE64": base64.b64encode(b"-----BEGIN PUBLIC KEY-----\n").decode(),
        },
    )
    script = filled(
        (LAB / "machines" / "data-path.sh").read_text(),
        {
            "NAME": name,
            "SERVICE_ADDRESS": services[one["kind"]],
            "ECHO_BASE64": base64.b64encode((ROOT / "lab" / "echo.py").read_bytes()).decode(),
            "WATCHER_BASE64": base64.b64encode((ROOT / "lab" / "packets" / "watcher.py").read_bytes()).decode(),
        },
    )
    return filled((LAB / "machines" / "user-data.txt").read_text(), {"CLOUD_INIT": cloud_init, "SCRIPT": script})


@pytest.mark.parametrize("name", ["ws1", "ws2", "watch1", "nva1", "nva2"])
def test_a_machines_first_boot_installs_its_agent_and_what_the_lab_serves(name: str) -> None:
    given = user_data(name)
    assert len(base64.b64encode(given.encode())) <= CUSTOM_DATA_MAX
    cloud_init, script = parts(given)
    assert cloud_init.startswith("#cloud-config\n")
    assert script.startswith("#!/bin/sh\n")
    agent = agent_of(name)
    assert (agent.name, str(agent.address)) == (name, machines(files())[name]["address"])
    assert PLACEHOLDER.findall(re.sub(r"(?m)^#   .*$", "", given)) == []


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


def test_the_topology_names_the_machines_of_the_bicep_as_their_agents_do() -> None:
    topology = decode((LAB / "topology.yaml").read_text(), Place())
    addresses = {name: one["address"] for name, one in machines(files()).items() if name != "lt1"}
    assert {speaker.name: str(speaker.address) for speaker in topology.speakers} == addresses
    for speaker in topology.speakers:
        agent = agent_of(speaker.name)
        assert agent.topology == topology.name
        asn = agent.speaker.asn if isinstance(agent.speaker, BgpSettings) else None
        assert asn == (speaker.asn if speaker.peers_with else None)
    # A series of failovers must not be spaced, and the bounds are those of the agents' checks.
    assert topology.timing.spacing_step == topology.timing.spacing_max == timedelta()
    paces = {
        (check.period_seconds, check.fall)
        for name in addresses
        for check in agent_of(name).checks
        if check.name == "data-path"
    }
    assert paces == {(topology.timing.check_period.total_seconds(), topology.timing.check_fall)}
    # The load balancer's own names, which the topology uses.
    balancer = files()["lab/balancer.bicep"]
    assert [one.name for one in topology.services] == ["vip", "egress"]
    assert all(f"'{each}'" in balancer for each in ("fe", "nvas", "hopkeeper", "/probe/egress"))


def test_the_programs_that_are_copied_need_nothing_else() -> None:
    """They run on the lab's machines, which have Python and no library of ours."""
    for path in ("echo.py", "packets/watcher.py", "packets/prober.py", "packets/conductor.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", (ROOT / "lab" / path).read_text(), re.M)
        assert set(imported) <= sys.stdlib_module_names, path
