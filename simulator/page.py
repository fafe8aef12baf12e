"""The page of the simulator's world: one plain document, made on the server, of what the control API says.

It needs no script and nothing from elsewhere. What a world holds was written by strangers: the template escapes all of it.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from simulator.alerts import iso
from simulator.control import Control, data_plane_document, instance_document, world_document
from simulator.data_plane import Plane
from simulator.faults import Faults
from simulator.resources import Json, key_of, parse_path
from simulator.route_servers import HUB, instances_of
from simulator.state import ArmError, OperationStatus

PATHS = ("/simulator", "/simulator/")
REFRESH_SECONDS = 5
SHOWN_MAX = 50  # requests
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True, slots=True)
class Row:
    cells: tuple[Any, ...]
    bad: bool = False


def answer(control: Control, refresh: str | None) -> web.Response:
    """`refresh` is the query's: `0` lets the page stand still."""
    text = TEMPLATES.get_template("page.html.j2").render(
        refresh=0 if refresh == "0" else REFRESH_SECONDS, shown_max=SHOWN_MAX, **_shown(control)
    )
    return web.Response(text=text, content_type="text/html", headers=HEADERS)


def _shown(control: Control) -> Json:
    world = world_document(control)
    factor = world["timeFactor"]
    return {
        "time": world["time"],
        "pace": "at Azure's pace" if factor == 1 else f"{factor:g} times faster than Azure",
        "faults": _faults(world["faults"]),
        "operations": _operations(control),
        "hubs": [_hub(control, hub) for hub in control.world.state.resources.of_type(HUB)],
        "balancers": [_balancer(control, plane) for plane in control.world.data_plane.planes.values()],
        "groups": _groups(control),
        "requests": [
            Row((one.time, _request(one.method, one.path, one.query), one.status, one.seconds), one.status >= 400)
            for one in islice(reversed(control.requests), SHOWN_MAX)
        ],
    }


def _request(method: str, path: str, query: str) -> str:
    return f"{method} {path}?{query}" if query else f"{method} {path}"


def _faults(now: Json) -> list[Row]:
    usual = asdict(Faults())
    return [Row((name, value, usual[name]), bad=True) for name, value in now.items() if value != usual[name]]


def _operations(control: Control) -> list[Row]:
    under_way = [one for one in control.world.state.operations.values() if one.status is OperationStatus.IN_PROGRESS]
    return [
        Row((one.kind, one.target, iso(one.started), iso(one.started + sum(one.waits, timedelta()))))
        for one in under_way
    ]


def _hub(control: Control, hub: Json) -> Json:
    facts = hub["properties"]
    peerings = control.world.route_servers.peerings(hub["id"])
    instances = [instance_document(control, one) for one in instances_of(hub)]
    words = {"provisioningState": "", "routingState": "routing ", "virtualRouterAsn": "ASN "}
    return {
        "id": hub["id"],
        "name": hub["name"],
        "state": ", ".join(f"{word}{facts[name]}" for name, word in words.items() if name in facts),
        "peerings": [
            Row(
                (one["name"], its["peerIp"], its["peerAsn"], its["provisioningState"]),
                its["provisioningState"] == "Failed",
            )
            for one in peerings
            for its in (one["properties"],)
        ],
        "sessions": [
            Row((at["address"], one["peer"], one["state"], one["since"]), one["state"] == "down")
            for at in instances
            for one in at["sessions"]
        ],
        "routes": [
            Row((at["address"], one["peer"], one["network"], one["nextHop"], " ".join(map(str, one["asPath"]))))
            for at in instances
            for one in at["routes"]
        ],
    }


def _balancer(control: Control, plane: Plane) -> Json:
    document = plane.document
    return {
        "id": document["id"],
        "name": document["name"],
        "members": [
            Row((pool["pool"], one["name"], one["ip"], one["admin_state"], one["reason"] or "not probed"))
            for pool in data_plane_document(control, plane)["pools"]
            for one in pool["backends"]
        ],
        "health": [
            row for rule in document["properties"].get("loadBalancingRules", ()) for row in _health(control, rule)
        ],
    }


def _health(control: Control, rule: Json) -> list[Row]:
    """What the rule's health action would answer now; of a rule without a probe nothing."""
    owner = rule["id"].rpartition("/loadBalancingRules/")[0]
    try:
        found = control.world.data_plane.health(owner, rule)
    except (ArmError, KeyError):  # also of a load balancer that is newer than what a stale answer repeats
        return []
    return [
        Row((rule["name"], one["ipAddress"], one["state"], one["reason"]), one["state"] != "Up")
        for one in found["loadBalancerBackendAddresses"]
    ]


def _groups(control: Control) -> list[Json]:
    resources = control.world.state.resources
    found = []
    for subscription, names in resources.scopes().items():
        for name in names:
            scope = f"/subscriptions/{subscription}/resourceGroups/{name}"
            inside = [one for one in resources.all() if key_of(one["id"]).startswith(key_of(scope) + "/")]
            found.append({"id": scope, "resources": [_resource(one) for one in inside]})
    return found


def _resource(document: Json) -> Row:
    path = parse_path(document["id"])
    name = "/".join(path.names) if path is not None else document["id"]
    state = document["properties"].get("provisioningState", "")
    return Row((name, document.get("type"), document.get("location", ""), state), state == "Failed")
