"""What is wrong with a seed: where, why, and what to do. Its resources have ids, types and names."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from simulator.clock import VirtualClock
from simulator.exports import is_route_server
from simulator.kinds import LOAD_BALANCER, child_name, kind_of
from simulator.resources import Json, key_of, path_of
from simulator.route_servers import PEERING, checked, instances_of
from simulator.state import ArmError
from simulator.world import World

PARTS_OF_RULES = {
    "frontendIPConfiguration": "frontendIPConfigurations",
    "backendAddressPool": "backendAddressPools",
    "probe": "probes",
}
LIST, OBJECT, NUMBER = (list, "a list"), (dict, "an object"), ((int, float), "a number")
# Parts that are objects, by the resource that they are of, and what each holds.
BY_ID: dict[str, tuple[type, str]] = {"vnetPrefixes": LIST, "gateways": OBJECT, "effectiveRoutes": LIST}
# Of each part that is a list of objects: the keys that one must have, and those that it may have.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alerts": (("name", "resourceId"), ("metric", "threshold", "windowSeconds", "severity")),
    "metrics": (("resourceId", "name", "values"), ("localizedName", "unit")),
    "permissions": (("scope", "actions"), ()),
    "bgp": (("peer",), ("routes",)),
    "routes": (("network",), ("nextHop", "asPath")),
}

EXAMPLES = {IPv4Address: "an address is 10.0.1.4", IPv4Network: "a prefix is 10.9.0.0/16"}
SHAPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(("threshold", "windowSeconds", "severity"), NUMBER),
    **dict.fromkeys(("values", "actions", "routes", "asPath"), LIST),
}


def faults_of(seed: Json) -> Iterator[str]:
    known = {key_of(one["id"]) for one in seed["resources"]}
    yield from _of_resources(seed["resources"], known)
    for part, (kind, words) in BY_ID.items():
        for own, value in seed.get(part, {}).items():
            if key_of(own) not in known:
                yield f"{part}.{own}: no resource of the seed has this id"
            if not isinstance(value, kind):
                yield f"{part}.{own}: must be {words}"
    for part in ("alerts", "metrics", "permissions"):
        yield from _of_entries(part, seed.get(part, []), known)
    yield from _of_bgp(seed.get("bgp", []))
    if not isinstance(seed.get("randomSeed", 0), int):
        yield "randomSeed: must be a whole number"


def _of_resources(documents: list[Json], known: set[str]) -> Iterator[str]:
    seen: set[str] = set()
    for document in documents:
        own = key_of(document["id"])
        if own in seen:
            yield f"resources: {document['id']} is there twice: leave one out"
            continue
        seen.add(own)
        fault = _nameless(document) or _untakable(document) or _lacking(document, known) or _dangling(document, known)
        if fault is not None:
            yield f"resources: {document['id']}: {fault}"


def _nameless(document: Json) -> str | None:
    """A child within a document by which no other one could be named."""
    for collection in kind_of(document["type"]).embedded:
        children = (document.get("properties") or {}).get(collection) or []
        if not isinstance(children, list):
            return f"properties.{collection}: must be a list"
        for number, child in enumerate(children):
            if not isinstance(child, dict) or not (child.get("name") or child.get("id")):
                return f"properties.{collection}[{number}]: name: missing"
    return None


def _untakable(document: Json) -> str | None:
    """What the world itself cannot take, each resource by itself."""
    try:
        World(VirtualClock(), {"resources": [document]})
        instances_of({"properties": {}, **document})
    except KeyError as error:
        return f"something in it misses {error}, which ARM always answers"
    except (ValueError, TypeError, AttributeError) as error:
        return f"cannot be taken in: {error}"
    return None


def _lacking(document: Json, known: set[str]) -> str | None:
    """What a Route Server or a peering cannot be without."""
    facts = document.get("properties") or {}
    if is_route_server(document) and not facts.get("virtualRouterIps") and facts.get("routingState") != "None":
        words = "write the addresses of its two instances, or add its IP configuration and its network"
        return f"properties.virtualRouterIps: missing: {words}"
    if document["type"].lower() != PEERING.lower():
        return None
    hub = path_of(document["id"]).up().id
    if key_of(hub) not in known:
        return f"its Route Server {hub} is not in the seed: add it"
    try:
        checked(document)
    except ArmError as error:
        return f"as ARM would refuse it: {error.message}"
    return None


def _dangling(document: Json, known: set[str]) -> str | None:
    """A rule of a load balancer that names a part which that one does not have: ARM refuses it."""
    if document["type"].lower() != LOAD_BALANCER.lower():
        return None
    facts = document.get("properties") or {}
    for number, rule in enumerate(facts.get("loadBalancingRules") or []):
        for key, collection in PARTS_OF_RULES.items():
            named = (rule.get("properties") or {}).get(key)
            there = [f"{document['id']}/{collection}/{child_name(one)}" for one in facts.get(collection) or []]
            if named and key_of(str(named.get("id"))) not in known.union(map(key_of, there)):
                words = f"there are {', '.join(there)}" if there else f"it has no {collection}"
                return f"properties.loadBalancingRules[{number}].properties.{key}: no {named.get('id')} in it; {words}"
    return None


# Parts that are no resources


def _entries(part: str, given: list[Any], at: str) -> Iterator[tuple[str, Json | str]]:
    """Where each entry is, and the entry, or what is wrong with its keys."""
    required, optional = KEYS[part]
    for number, entry in enumerate(given):
        here = f"{at}[{number}]"
        if not isinstance(entry, dict):
            yield here, f"must be an object with {', '.join(required)}"
            continue
        there = ", ".join((*required, *optional))
        words = [f"{key} is unknown, there are {there}" for key in entry if key not in (*required, *optional)]
        words += [f"{key} is missing" for key in required if key not in entry]
        words += [
            f"{key} must be {SHAPES[key][1]}"
            for key, value in entry.items()
            if key in SHAPES and not isinstance(value, SHAPES[key][0])
        ]
        yield here, "; ".join(words) if words else entry


def _of_entries(part: str, given: list[Any], known: set[str]) -> Iterator[str]:
    for at, entry in _entries(part, given, part):
        if isinstance(entry, str):
            yield f"{at}: {entry}"
        elif "resourceId" in entry and key_of(str(entry["resourceId"])) not in known:
            yield f"{at}.resourceId: no resource of the seed has the id {entry['resourceId']!r}"


def _of_bgp(given: list[Any]) -> Iterator[str]:
    for at, entry in _entries("bgp", given, "bgp"):
        if isinstance(entry, str):
            yield f"{at}: {entry}"
        else:
            yield from _faulty(f"{at}.peer", IPv4Address, entry["peer"])
            for here, route in _entries("routes", entry.get("routes", []), f"{at}.routes"):
                yield from [f"{here}: {route}"] if isinstance(route, str) else _of_route(here, route)


def _of_route(at: str, route: Json) -> Iterator[str]:
    yield from _faulty(f"{at}.network", IPv4Network, route["network"])
    if "nextHop" in route:
        yield from _faulty(f"{at}.nextHop", IPv4Address, route["nextHop"])
    if not all(isinstance(asn, int) for asn in route.get("asPath", [])):
        yield f"{at}.asPath: must be a list of AS numbers, the peer's own first"


def _faulty(at: str, kind: type[IPv4Address | IPv4Network], value: Any) -> Iterator[str]:
    try:
        kind(value)
    except ValueError as error:
        yield f"{at}: {error}; {EXAMPLES[kind]}"
        return
    if kind is IPv4Network and "/" not in str(value):
        yield f"{at}: {value} says no length; {EXAMPLES[kind]}"
