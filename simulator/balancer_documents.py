"""The shape of a load balancer's document: what ARM fills in, says twice, refers back to, and keeps whatever is written.

Recorded: a load balancer of api 2018-12-01 (tests/fixtures/recordings), pools with addresses (Azure/azure-cli,
test_network_lb_address_pool_addresses.yaml), and a pool of network interfaces with its rule (index id 37928932).
"""

from collections.abc import Iterable
from copy import deepcopy
from ipaddress import AddressValueError, IPv4Address

from simulator.kinds import LOAD_BALANCER, kind_of, stamp
from simulator.resources import Json, key_of
from simulator.state import ArmError

CHILDREN = kind_of(LOAD_BALANCER).embedded
MEMBERS = "loadBalancerBackendAddresses"
CONFIGURATION = "networkInterfaceIPConfiguration"
ADMIN_STATES = ("None", "Up", "Down")

_FLOW: Json = {"enableFloatingIP": False, "idleTimeoutInMinutes": 4, "enableTcpReset": False}
# What ARM answers of a child where nothing was written.
FILLS: dict[str, Json] = {
    "frontendIPConfigurations": {"privateIPAddressVersion": "IPv4"},
    "backendAddressPools": {MEMBERS: []},
    "loadBalancingRules": {
        **{"frontendPort": 0, "backendPort": 0, "protocol": "All", **_FLOW},
        **{"enableDestinationServiceEndpoint": False, "allowBackendPortConflict": False},
        **{"loadDistribution": "Default", "disableOutboundSnat": False},
    },
    "probes": {},
    "inboundNatRules": {**_FLOW, "enableDestinationServiceEndpoint": False, "allowBackendPortConflict": False},
    "outboundRules": {"allocatedOutboundPorts": 0, "idleTimeoutInMinutes": 4, "enableTcpReset": False},
}
# What refers to what: a collection, the reference in its members, the collection that leads to, and the name of the way back.
REFERENCES = (
    ("loadBalancingRules", "frontendIPConfiguration", "frontendIPConfigurations", "loadBalancingRules"),
    ("loadBalancingRules", "backendAddressPools", "backendAddressPools", "loadBalancingRules"),
    ("loadBalancingRules", "probe", "probes", "loadBalancingRules"),
    ("inboundNatRules", "frontendIPConfiguration", "frontendIPConfigurations", "inboundNatRules"),
    ("inboundNatRules", "backendAddressPool", "backendAddressPools", "inboundNatRules"),
    ("outboundRules", "frontendIPConfigurations", "frontendIPConfigurations", "outboundRules"),
    ("outboundRules", "backendAddressPool", "backendAddressPools", "outboundRules"),
)
BACK = frozenset((target, name) for _, _, target, name in REFERENCES)


def fill(document: Json) -> None:
    """Everything that ARM answers besides what was written; also again, after a change."""
    facts = document["properties"]
    for collection in CHILDREN:
        for child in facts.setdefault(collection, []):
            its = child.setdefault("properties", {})
            for name, value in FILLS[collection].items():
                its.setdefault(name, deepcopy(value))
    facts.setdefault("inboundNatPools", [])
    for frontend in facts["frontendIPConfigurations"]:
        its = frontend["properties"]
        its.setdefault("privateIPAllocationMethod", "Static" if its.get("privateIPAddress") else "Dynamic")
    stamp(document)
    for rule in facts["loadBalancingRules"]:
        _mirror(rule["properties"])
    for pool in facts["backendAddressPools"]:
        fill_pool(pool)
    refer_back(facts)


def _mirror(facts: Json) -> None:
    """A rule says its pool twice, in either spelling what the other one says; several only in the list."""
    one, several = facts.pop("backendAddressPool", None), facts.pop("backendAddressPools", None)
    pools = several or ([one] if one else [])
    if len(pools) == 1:
        facts["backendAddressPool"] = {"id": pools[0]["id"]}
    if pools:
        facts["backendAddressPools"] = [{"id": pool["id"]} for pool in pools]


def fill_pool(pool: Json) -> None:
    """Its members have their keys; members that are network interfaces are named a second time.

    Written by hand it may name them only there, as ARM did before it had addresses (recorded 2019).
    """
    facts = pool["properties"]
    if not facts.get(MEMBERS) and facts.get("backendIPConfigurations"):
        named = [one["id"] for one in facts["backendIPConfigurations"]]
        facts[MEMBERS] = [{"name": member_name(one), "properties": {CONFIGURATION: {"id": one}}} for one in named]
    facts[MEMBERS] = [_member(pool, member) for member in facts.get(MEMBERS) or ()]
    interfaces = [{"id": its[CONFIGURATION]["id"]} for m in facts[MEMBERS] if is_interface(its := m["properties"])]
    facts.pop("backendIPConfigurations", None)
    if interfaces:
        facts["backendIPConfigurations"] = interfaces


def _member(pool: Json, member: Json) -> Json:
    facts = {name: value for name, value in member["properties"].items() if name != "provisioningState"}
    return {
        "name": member["name"],
        "id": f"{pool['id']}/{MEMBERS}/{member['name']}",
        "etag": pool["etag"],
        "properties": {"provisioningState": pool["properties"]["provisioningState"], **facts},
        "type": f"{LOAD_BALANCER}/backendAddressPools/{MEMBERS}",
    }


def member_name(configuration: str) -> str:
    """What a network interface's configuration is called in a pool: recorded so, index id 37928932."""
    parts = configuration.split("/")
    return f"{parts[4]}_{parts[-3]}{parts[-1]}"


def as_written(members: list[Json]) -> list[Json]:
    """Members without what ARM writes of them, to compare."""
    return [
        {"name": m["name"], **{k: v for k, v in m["properties"].items() if k != "provisioningState"}} for m in members
    ]


def is_interface(facts: Json) -> bool:
    """Whether a member is a network interface's configuration, and not an address."""
    return not facts.get("ipAddress") and bool(facts.get(CONFIGURATION))


def refer_back(facts: Json) -> None:
    """Frontends, pools and probes name what uses them."""
    children = {key_of(child["id"]): child for name in CHILDREN for child in facts.get(name) or ()}
    for target, name in BACK:
        for child in facts.get(target) or ():
            child["properties"].pop(name, None)
    for collection, reference, target, name in REFERENCES:
        for child in facts.get(collection) or ():
            for used in _used(child["properties"].get(reference), target):
                if used in children:
                    children[used]["properties"].setdefault(name, []).append({"id": child["id"]})


def _used(reference: object, target: str) -> Iterable[str]:
    """Keys of what a reference, or each of several, leads to in that collection."""
    several = reference if isinstance(reference, list) else [reference]
    keys = [key_of(one["id"]) for one in several if isinstance(one, dict) and "id" in one]
    return [key for key in keys if f"/{target}/".lower() in key]


def restamp(document: Json, *, etag: str, state: str) -> None:
    """One etag and one provisioning state for the load balancer and everything in it."""
    document["etag"] = etag
    document["properties"]["provisioningState"] = state
    for kind in CHILDREN:
        for child in document["properties"].get(kind, ()):
            child["etag"] = etag
            child["properties"]["provisioningState"] = state
            for member in child["properties"].get(MEMBERS, ()):
                member["etag"] = etag
                member["properties"]["provisioningState"] = state


def merged_members(before: list[Json], given: list[Json]) -> list[Json]:
    """What a pool holds after a write. Raises ArmError.

    Network interfaces come and go by their own documents only (Microsoft, "Backend pool management"): a write of the pool
    changes nothing of them but adminState, and what it leaves out stays. Not from a recording: the refusal of a new one.
    """
    known = {member["name"]: member for member in before}
    named = {_name_of(member): member for member in given}
    after = []
    for name, member in named.items():
        facts = deepcopy(member.get("properties") or {})
        held = known.get(name, {"properties": {}})["properties"]
        if held.get(CONFIGURATION):
            facts[CONFIGURATION] = held[CONFIGURATION]
        _check(name, facts, is_new=name not in known)
        after.append({"name": name, "properties": facts})
    return after + [m for name, m in known.items() if name not in named and is_interface(m["properties"])]


def _name_of(member: Json) -> str:
    if not member.get("name"):
        address = (member.get("properties") or {}).get("ipAddress")
        raise ArmError(400, "InvalidRequestFormat", f"the backend address {address} has no name.")
    return str(member["name"])


def _check(name: str, facts: Json, *, is_new: bool) -> None:
    state = facts.get("adminState") or "None"
    if state not in ADMIN_STATES:
        raise ArmError(400, "InvalidRequestFormat", f"adminState {state!r} is not None, Up or Down.")
    if is_interface(facts):
        if is_new:
            words = f"{name!r} is a network interface: it joins the pool by its own document, not by the pool's."
            raise ArmError(400, "InvalidRequestFormat", words)
        return
    try:
        IPv4Address(facts["ipAddress"])
    except (KeyError, AddressValueError) as error:
        raise ArmError(400, "InvalidRequestFormat", f"ipAddress of {name!r} is missing.") from error
