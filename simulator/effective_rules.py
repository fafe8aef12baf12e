"""The effective security rules of a network interface: its own group's, and its subnet's.

Shape of EffectiveNetworkSecurityGroupListResult (Azure/azure-rest-api-specs, Microsoft.Network 2025-05-01). Tags and
application groups are not expanded. Default rules as "Network security groups" documents them.
"""

from simulator.resources import Json, Resources, key_of

_ANY = ("0-65535", "0.0.0.0/0")
_DEFAULTS = (
    ("AllowVnetInBound", 65000, "Inbound", "VirtualNetwork", "VirtualNetwork", "Allow"),
    ("AllowAzureLoadBalancerInBound", 65001, "Inbound", "AzureLoadBalancer", "0.0.0.0/0", "Allow"),
    ("DenyAllInBound", 65500, "Inbound", "0.0.0.0/0", "0.0.0.0/0", "Deny"),
    ("AllowVnetOutBound", 65000, "Outbound", "VirtualNetwork", "VirtualNetwork", "Allow"),
    ("AllowInternetOutBound", 65001, "Outbound", "0.0.0.0/0", "Internet", "Allow"),
    ("DenyAllOutBound", 65500, "Outbound", "0.0.0.0/0", "0.0.0.0/0", "Deny"),
)


def of(resources: Resources, interface: Json) -> list[Json]:
    """One entry for each group that is associated; without any, none, and then nothing is filtered."""
    found = []
    own = (interface["properties"].get("networkSecurityGroup") or {}).get("id")
    if own is not None:
        found.append(_entry(resources, own, {"networkInterface": {"id": interface["id"]}}))
    for configuration in interface["properties"].get("ipConfigurations") or ():
        subnet = (configuration["properties"].get("subnet") or {}).get("id", "")
        group = _group_of_subnet(resources, subnet)
        if group is not None:
            found.append(_entry(resources, group, {"subnet": {"id": subnet}}))
    return found


def _group_of_subnet(resources: Resources, subnet_id: str) -> str | None:
    network_id, _, name = subnet_id.rpartition("/subnets/")
    network = resources.get(network_id)
    for subnet in network["properties"].get("subnets") or () if network is not None else ():
        if key_of(subnet["name"]) == key_of(name):
            group = (subnet["properties"].get("networkSecurityGroup") or {}).get("id")
            return None if group is None else str(group)
    return None


def _entry(resources: Resources, group_id: str, association: Json) -> Json:
    group = resources.get(group_id) or {"properties": {}}
    rules = [_effective(rule["name"], rule["properties"]) for rule in group["properties"].get("securityRules") or ()]
    return {
        "networkSecurityGroup": {"id": group_id},
        "association": association,
        "effectiveSecurityRules": sorted(rules, key=lambda rule: int(rule["priority"]))
        + [_default(row) for row in _DEFAULTS],
    }


def _effective(name: str, facts: Json) -> Json:
    return {
        "name": f"securityRules/{name}",
        "protocol": "All" if facts.get("protocol", "*") == "*" else facts["protocol"],
        "sourcePortRange": _range(facts.get("sourcePortRange")),
        "destinationPortRange": _range(facts.get("destinationPortRange")),
        "sourceAddressPrefix": _prefix(facts.get("sourceAddressPrefix")),
        "destinationAddressPrefix": _prefix(facts.get("destinationAddressPrefix")),
        "access": facts["access"],
        "priority": facts["priority"],
        "direction": facts["direction"],
    }


def _range(given: str | None) -> str:
    if given in (None, "*"):
        return _ANY[0]
    return str(given) if "-" in str(given) else f"{given}-{given}"


def _prefix(given: str | None) -> str:
    return _ANY[1] if given in (None, "*") else str(given)


def _default(row: tuple[str, int, str, str, str, str]) -> Json:
    name, priority, direction, source, target, access = row
    return {
        "name": f"defaultSecurityRules/{name}",
        "protocol": "All",
        "sourcePortRange": _ANY[0],
        "destinationPortRange": _ANY[0],
        "sourceAddressPrefix": source,
        "destinationAddressPrefix": target,
        "access": access,
        "priority": priority,
        "direction": direction,
    }
