"""The JSON Schema of a topology document, for editors: what completes, explains and checks a document while it is written.

The shapes are those of `domain/topology/model.py`, a key's description is what stands below its field there. Laws between keys
no schema can say: `hopkeeper check` does.
"""

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Any

import msgspec

from function_app.domain.base.timing import Timing
from function_app.domain.topology import model
from function_app.domain.topology.model import Topology

_CUSTOM: dict[type, dict[str, Any]] = {
    IPv4Address: {"type": "string", "format": "ipv4", "examples": ["10.0.1.4"]},
    IPv4Network: {
        "type": "string",
        "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$",
        "description": "A prefix with its length.",
        "examples": ["10.0.0.0/16"],
    },
}

_HUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network"
EXAMPLES: dict[str, dict[str, Any]] = {
    "RouteServer": {"name": "rs-hub", "id": f"{_HUB}/virtualHubs/rs-hub", "branchToBranch": False},
    "Speaker": {"name": "nva-a", "address": "10.0.1.4", "asn": 65001, "agent": {"port": 8443}, "peersWith": ["rs-hub"]},
    "MemberCheck": {"kind": "http", "port": 80, "path": "/up"},
    "Relay": {"from": "rs-east", "to": "rs-west", "prefixes": ["10.4.0.0/16"]},
    "Announcement": {"prefix": "0.0.0.0/0", "nextHop": {"address": "10.0.1.100"}},
    "LoadBalancer": {
        "id": f"{_HUB}/loadBalancers/ilb-nva",
        "frontend": "fe",
        "backendPool": "nvas",
        "probe": "hopkeeper",
    },
    "Injectors": {"announcers": ["watch1", "watch2"]},
    "Member": {"speaker": "nva-a", "priority": 200},
    "Failover": {"preempt": "ready", "returnAfter": "PT30M"},
    "Outward": {"neighbours": [{"address": "192.168.100.1", "asn": 64600}], "prefixes": ["10.0.0.0/16"]},
    "ScaleSet": {
        "name": "nvas",
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/nvas",
        "asn": 65001,
        "peersWith": ["rs-hub"],
    },
    "Timing": {"sweep": "PT30S", "loadBalancerFall": 2},
}
"""By definition, as an editor offers them."""


def topology_schema() -> dict[str, Any]:
    """Draft 2020-12; every property has a description."""
    made = msgspec.json.schema(Topology, schema_hook=lambda kind: dict(_CUSTOM[kind]))
    definitions: dict[str, Any] = made["$defs"]
    for kind in _structs():
        described = _descriptions(kind)
        for field in msgspec.structs.fields(kind):
            own = definitions[kind.__name__]["properties"][field.encode_name]
            own["description"] = _joined(described[field.name], own.get("description"))
    for name, example in EXAMPLES.items():
        definitions[name]["examples"] = [example]
    # In the document a prefix alone is short for an announcement of it.
    announces = definitions["Speaker"]["properties"]["announces"]
    announces["items"] = {"anyOf": [dict(_CUSTOM[IPv4Network]), announces["items"]]}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:hopkeeper:topology:1",
        "title": "Hopkeeper topology",
    }
    return {**head, **made}


def schema_text() -> str:
    """The same as it is written to a file."""
    return msgspec.json.format(msgspec.json.encode(topology_schema()), indent=2).decode() + "\n"


def _structs() -> Iterator[type[msgspec.Struct]]:
    """Every mapping that a document is made of; `BackendPool` stands in it as well as what is made of it."""
    for kind in (*vars(model).values(), Timing):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
            yield kind


@cache
def _descriptions(kind: type) -> dict[str, str]:
    """By field, what stands below it in the source, its own or that of what it is made of."""
    found = dict(_descriptions(kind.__base__)) if kind.__base__ not in (None, msgspec.Struct) else {}
    (body,) = (node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef))
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                found[name] = " ".join(text.split())
    return found


def _joined(description: str, form: str | None) -> str:
    return description if form is None else f"{description} Form: {form}"
