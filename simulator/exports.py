"""Resources of an export, made what the simulator keeps: children where they lie, and what only ARM writes of a Route Server."""

from ipaddress import IPv4Network

from simulator.hub_addresses import ADDRESSES, INSTANCES
from simulator.kinds import kind_of
from simulator.resources import Json, key_of, path_of
from simulator.route_servers import HUB, ROUTE_SERVER_ASN


def completed(documents: list[Json]) -> list[Json]:
    """All resources of a seed, which have ids, types and names."""
    known = {key_of(one["id"]): one for one in documents}
    kept = [one for one in documents if not _lies_in_parent(one, known)]
    kept += [child for parent in kept for child in _taken_out(parent) if key_of(child["id"]) not in known]
    for document in kept:
        if _is_hub_of_its_own(document):
            document.setdefault("kind", "RouteServer")
        if is_route_server(document):
            _complete_route_server(document, kept)
    return kept


def is_route_server(document: Json) -> bool:
    return bool(document["type"].lower() == HUB.lower() and document.get("kind") == "RouteServer")


def _is_hub_of_its_own(document: Json) -> bool:
    """A hub without a virtual WAN is a Route Server; `kind`, which ARM writes, is easily forgotten by hand."""
    return bool(document["type"].lower() == HUB.lower() and "virtualWan" not in document.get("properties", {}))


def _lies_in_parent(child: Json, known: dict[str, Json]) -> bool:
    """Of a child that ARM keeps in its parent's document: it is there, or is put there."""
    path = path_of(child["id"])
    parent = known.get(key_of(path.up().id)) if len(path.names) > 1 else None
    collection = None if parent is None else kind_of(parent["type"]).embedded_as(path.types[-1])
    if parent is None or collection is None:
        return False
    siblings = parent.setdefault("properties", {}).setdefault(collection, [])
    if all(str(one.get("name", "")).lower() != path.names[-1].lower() for one in siblings):
        siblings.append({"name": path.names[-1], "properties": child.get("properties", {})})
    return True


def _taken_out(parent: Json) -> list[Json]:
    """Children that a document shows and the simulator keeps beside it; ARM may show no more of one than its id."""
    return [
        {
            **child,
            "id": child.get("id") or f"{parent['id']}/{shown}/{child.get('name')}",
            "type": f"{parent['type']}/{shown}",
        }
        for shown in kind_of(parent["type"]).shown
        for child in parent.get("properties", {}).pop(shown, None) or ()
        if "properties" in child
    ]


def _complete_route_server(hub: Json, documents: list[Json]) -> None:
    """A template has no instances: they are where the subnet of its IP configuration says."""
    facts = hub.setdefault("properties", {})
    if "virtualRouterIps" not in facts:
        facts |= {"virtualRouterIps": [str(prefix[at]) for prefix in _prefixes(hub, documents) for at in INSTANCES]}
    if facts["virtualRouterIps"]:
        facts.setdefault("virtualRouterAsn", ROUTE_SERVER_ASN)
        facts.setdefault("routingState", "Provisioned")
        facts.setdefault("provisioningState", "Succeeded")


def _prefixes(hub: Json, documents: list[Json]) -> list[IPv4Network]:
    """Of the subnet of a Route Server, as far as the seed has it: one, or none."""
    own = key_of(hub["id"]) + "/"
    held = [one for one in documents if one["type"].lower() == ADDRESSES.lower() and key_of(one["id"]).startswith(own)]
    wanted = {key_of(one.get("properties", {}).get("subnet", {}).get("id", "")) for one in held}
    found = [facts for network in documents for key, facts in _subnets(network) if key in wanted]
    prefixes = [one for facts in found for one in (facts.get("addressPrefix"), *facts.get("addressPrefixes", ()))]
    return [IPv4Network(prefix) for prefix in prefixes if prefix][:1]


def _subnets(network: Json) -> list[tuple[str, Json]]:
    """By their keys; none of what is no network."""
    subnets = network.get("properties", {}).get("subnets") or ()
    return [(key_of(f"{network['id']}/subnets/{one.get('name')}"), one.get("properties", {})) for one in subnets]
