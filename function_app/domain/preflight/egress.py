"""Preflight of the app's own way out: would its calls to Azure pass through the appliances that it fails over?

A default route that an NVA announces is programmed in every subnet of the Route Server's network and of networks peered
with it, the app's own too. With the holder dead there is then no ARM, no fence is proven, and the service is held for ever.
"""

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, collapse_addresses

from function_app.domain.preflight.facts import AppSubnetFacts, Facts, RouteFacts
from function_app.domain.preflight.rule import Fault, Severity, services, speakers
from function_app.domain.topology.model import Topology

SETTING = "HOPKEEPER_APP_SUBNET_ID"

OWNED_LENGTH_MIN = 8
"""No owner's network is larger: Azure's public addresses may lie within any prefix that is shorter than this."""

ANY_ADDRESS = IPv4Network("0.0.0.0/0")

# A fence is proven through Azure Resource Manager; records are written to storage, which may have a private endpoint.
AZURE, MANAGEMENT, STORAGE = "azurecloud", "azureresourcemanager", "storage"


def app_egress(topology: Topology, facts: Facts) -> Iterator[Fault]:
    arm = facts.arm
    if arm is None:
        return
    if arm.app_subnet is not None:
        members = {address for balancer in arm.balancers.values() for address in balancer.frontends}
        members |= {speaker.address for speaker in topology.speakers}
        yield from _through_members(arm.app_subnet, members)
        yield from _to_nowhere(arm.app_subnet)
        yield from _announced_to_it(topology, arm.app_subnet)
        yield from _without_an_exit(arm.app_subnet, members)
    elif arm.app_subnet_unset:
        for path, who, prefixes in _wide(topology):
            yield Fault(
                path,
                f"{who} announces {_listed(prefixes)}, and the setting HOPKEEPER_APP_SUBNET_ID is missing: with the holder "
                "dead it may have no way to Azure",
                f"set {SETTING} to the id of the subnet that the app is integrated with",
                Severity.WARNING,
            )


def _through_members(subnet: AppSubnetFacts, members: set[IPv4Address]) -> Iterator[Fault]:
    for route in subnet.routes:
        if route.address is None or not _takes_azure(route):
            continue
        what = f"route {route.name} of the app's subnet leads {_prefix(route) or route.to} to"
        if route.address in members:
            yield Fault(
                "$",
                f"{what} {route.address}, a member or its load balancer: "
                "with the holder dead the app reaches no Azure, no fence is proven, and the service is held",
                f"{_route('update', subnet, route.name)} --next-hop-type Internet",
            )
        else:
            yield Fault(
                "$",
                f"{what} the appliance {route.address}",
                "make sure that it works without any member of this topology: the app reaches Azure through it",
                Severity.INFO,
            )


def _to_nowhere(subnet: AppSubnetFacts) -> Iterator[Fault]:
    """Only the Internet and an appliance with an address are ways out: whatever else a route says is not known to be one.

    | the route takes | ARM and storage have routes of their own to the Internet | so it is |
    |---|---|---|
    | anything but Azure | | no fault |
    | Azure, or all of it | both | no fault: more exact routes take what the app needs |
    | the management tag | it drops it | an error, whatever else there is |
    | all of Azure, or a wide prefix | ARM has none, and it drops it | an error |
    | | otherwise | a warning |
    """
    managed, stored = _tagged(subnet)
    for route in subnet.routes:
        needed = _tag(route.to) in (MANAGEMENT, STORAGE)
        if _is_a_way_out(route) or not _takes_azure(route) or (managed and stored and not needed):
            continue
        drops = route.next_hop.casefold() == "none"
        where = "drops it" if drops else f"leads it to {route.next_hop}, which is no way out to Azure by itself"
        yield Fault(
            "$",
            f"route {route.name} of the app's subnet takes {_prefix(route) or route.to} and {where}: without Azure Resource "
            "Manager no fence is proven, and without storage nothing is recorded",
            f"{_route('update', subnet, route.name)} --next-hop-type Internet",
            Severity.ERROR if drops and _takes_management(route, managed) else Severity.WARNING,
        )


def _is_a_way_out(route: RouteFacts) -> bool:
    return route.next_hop.casefold() == "internet" or route.address is not None


def _takes_azure(route: RouteFacts) -> bool:
    """Whether Azure's addresses may lie in what the route takes: a wide prefix, or a service tag of Azure."""
    prefix = _prefix(route)
    return _is_wide(prefix) if prefix else _is_azure(route.to)


def _takes_management(route: RouteFacts, managed: bool) -> bool:
    """Whether it surely takes Azure Resource Manager; `managed`: a service tag leads that to the Internet."""
    if _tag(route.to) == MANAGEMENT:
        return True
    return not managed and (_prefix(route) is not None or route.to.casefold() == AZURE)


def _tagged(subnet: AppSubnetFacts) -> tuple[bool, bool]:
    """Whether service tags lead Azure Resource Manager (which is in no one region), and storage, to the Internet."""
    tags = {route.to.casefold() for route in subnet.routes if route.next_hop.casefold() == "internet"}
    return bool(tags & {AZURE, MANAGEMENT}), AZURE in tags or any(_tag(tag) == STORAGE for tag in tags)


def _announced_to_it(topology: Topology, subnet: AppSubnetFacts) -> Iterator[Fault]:
    if not subnet.propagates:
        return
    managed, stored = _tagged(subnet)
    for path, who, prefixes in _wide(topology):
        carried = [prefix for prefix in prefixes if not _is_overridden(subnet, prefix)]
        if not carried or (managed and stored):
            continue
        said = f"{who} announces {_listed(carried)}: if the app's network is a Route Server's or peered with one,"
        if managed:
            what = f"{said} its way to storage leads through the members, unless storage has a private endpoint there"
            yield Fault(path, what, _remedy(subnet, carried), Severity.WARNING)
        else:
            what = (
                f"{said} its way to Azure leads through the members: with the holder dead it reaches no Azure, no fence is "
                "proven, and the service is held"
            )
            yield Fault(path, what, _remedy(subnet, carried))


def _without_an_exit(subnet: AppSubnetFacts, members: set[IPv4Address]) -> Iterator[Fault]:
    """Through another appliance it needs none of its own."""
    elsewhere = (r for r in subnet.routes if _prefix(r) == ANY_ADDRESS and r.address not in (None, *members))
    if subnet.nat_gateway or any(elsewhere):
        return
    group = _group(subnet.id)
    yield Fault(
        "$",
        "the app's subnet has no NAT gateway: virtual networks made since March 2026 have no outbound access by default",
        f"az network public-ip create -g {group} -n pip-hopkeeper --sku Standard && az network nat gateway create -g {group} "
        f"-n ng-hopkeeper --public-ip-addresses pip-hopkeeper && az network vnet subnet update --ids {subnet.id} "
        "--nat-gateway ng-hopkeeper",
        Severity.WARNING,
    )


def _wide(topology: Topology) -> Iterator[tuple[str, str, list[IPv4Network]]]:
    """Who announces what Azure may lie in: path in the document, name, prefixes."""
    announced = [(f"{path}.prefixes", service.name, service.prefixes) for path, service in services(topology)]
    for path, speaker in speakers(topology):
        announced.append((f"{path}.announces", speaker.name, speaker.announces))
        relayed = tuple(prefix for relay in speaker.relays for prefix in relay.prefixes)
        announced.append((f"{path}.relays", speaker.name, relayed))
    for i, scale_set in enumerate(topology.scale_sets):
        announced.append((f"$.scaleSets[{i}].announces", scale_set.name, scale_set.announces))
    for path, who, prefixes in announced:
        if found := [prefix for prefix in prefixes if _is_wide(prefix)]:
            yield path, who, found


def _is_wide(prefix: IPv4Network) -> bool:
    return prefix.prefixlen < OWNED_LENGTH_MIN


def _is_azure(tag: str) -> bool:
    """A service tag, of a region too, that holds what the app needs."""
    return _tag(tag) in (AZURE, MANAGEMENT, STORAGE)


def _tag(to: str) -> str:
    """A service tag without its region."""
    return to.casefold().partition(".")[0]


def _is_overridden(subnet: AppSubnetFacts, prefix: IPv4Network) -> bool:
    """Whether routes of the subnet's own table take all of it: as long as the learned one they win, longer ones too,
    wherever they lead (`_to_nowhere`)."""
    own = (found for route in subnet.routes if (found := _prefix(route)))
    return list(collapse_addresses(found for found in own if found.subnet_of(prefix))) == [prefix]


def _prefix(route: RouteFacts) -> IPv4Network | None:
    """None for a service tag, and for IPv6."""
    try:
        return IPv4Network(route.to)
    except (AddressValueError, NetmaskValueError, ValueError):
        return None


def _remedy(subnet: AppSubnetFacts, prefixes: list[IPv4Network]) -> str:
    """As commands of Azure's own command line, to be pasted."""
    commands = []
    if subnet.table is None:
        commands.append(f"az network route-table create -g {_group(subnet.id)} -n rt-hopkeeper")
    for prefix in prefixes:
        name = f"internet-{prefix.network_address}-{prefix.prefixlen}"
        commands.append(f"{_route('create', subnet, name)} --address-prefix {prefix} --next-hop-type Internet")
    if subnet.table is None:
        commands.append(f"az network vnet subnet update --ids {subnet.id} --route-table rt-hopkeeper")
    return " && ".join(commands)


def _route(verb: str, subnet: AppSubnetFacts, name: str) -> str:
    group = _group(subnet.table or subnet.id)
    table = subnet.table.rpartition("/")[2] if subnet.table else "rt-hopkeeper"
    return f"az network route-table route {verb} -g {group} --route-table-name {table} -n {name}"


def _group(resource: str) -> str:
    return resource.split("/")[4]


def _listed(prefixes: list[IPv4Network]) -> str:
    return ", ".join(map(str, prefixes))
