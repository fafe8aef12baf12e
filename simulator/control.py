"""The simulator's own API under /simulator, for the demo, the lab and tests: no authentication, JSON.

What can be read and changed is the table at the end (docs/simulator.md). It reads and writes the world; it decides nothing.
What is misspelt is refused, with what there is.
"""

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from simulator.alerts import iso
from simulator.bgp import BgpSpeakers
from simulator.data_plane import HealthEvent, Plane, frontend_ip, probed
from simulator.event_grid import EventGrid, resource_event
from simulator.faults import Faults, UnknownFaultError
from simulator.resources import Json
from simulator.route_servers import HUB, instances_of
from simulator.throttle import SIZES
from simulator.webhooks import AlertWebhooks
from simulator.wire import JSON_TYPE, Reply, Request
from simulator.world import World

REQUESTS_MAX = 50_000  # the newest kept


@dataclass(frozen=True, slots=True)
class Logged:
    """One answered request of a wire format other than this one."""

    number: int
    time: str
    method: str
    path: str
    query: str
    status: int
    seconds: float


class ControlError(ValueError):
    """A request to the control API that makes no sense; the message says why."""


@dataclass(slots=True)
class Control:
    world: World
    event_grid: EventGrid
    webhooks: AlertWebhooks
    bgp: BgpSpeakers | None
    faults_changed: Callable[[], None]
    requests: deque[Logged]

    async def answer(self, request: Request) -> Reply:
        for method, path, act in ROUTES:
            found = re.fullmatch(NAMED.sub("([^/]+)", path), request.path, re.IGNORECASE)
            if found is not None and method == request.method:
                try:
                    body = await act(self, request, found.groups())
                except (UnknownFaultError, KeyError, ValueError, TypeError, AttributeError) as error:
                    words = error.args[0] if error.args else error
                    return Reply(400, {"error": str(words)}, {"Content-Type": JSON_TYPE})
                return Reply(200, body, {"Content-Type": JSON_TYPE})
        there = [f"{method} {path}" for method, path, _ in ROUTES]
        refusal = {"error": f"nothing at {request.method} {request.path}", "there": there}
        return Reply(404, refusal, {"Content-Type": JSON_TYPE})


type Act = Callable[[Control, Request, tuple[str, ...]], Awaitable[Any]]
NAMED = re.compile(r"{\w+}")  # in the paths of the table


def _object(request: Request) -> Json:
    found = json.loads(request.body or b"{}")
    if not isinstance(found, dict):
        raise ControlError("the body must be a JSON object")
    return found


def _body(request: Request, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Json:
    """The body, which has these keys and no other. Raises ControlError."""
    return _with_keys(_object(request), "the body", required, optional)


def _with_keys(found: Any, what: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Json:
    if not isinstance(found, dict):
        raise ControlError(f"{what} must be a JSON object")
    for key in found:
        _one_of(f"a key of {what}", key, (*required, *optional))
    for key in required:
        if key not in found:
            raise ControlError(f"{what} lacks {key!r}")
    return found


def _one_of(what: str, given: Any, allowed: Iterable[str]) -> str:
    """Raises ControlError where it is none of them."""
    there = tuple(allowed)
    if given not in there:
        raise ControlError(f"{given!r} is not {what}; there is {', '.join(there) or 'none'}")
    return str(given)


def _flag(found: Json, key: str) -> bool:
    flag = found[key]
    if not isinstance(flag, bool):
        raise ControlError(f"{key} cannot be {flag!r}, only true or false")
    return flag


async def _world(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    return world_document(control)


def world_document(control: Control) -> Json:
    state = control.world.state
    return {
        "time": iso(state.now()),
        "timeFactor": state.pace.factor,
        "faults": asdict(state.faults),
        "resources": [
            {
                "id": document["id"],
                "type": document.get("type"),
                "etag": document.get("etag"),
                "provisioningState": document["properties"].get("provisioningState"),
            }
            for document in state.resources.all()
        ],
        "peerings": [
            {
                "hub": peer.hub,
                "peerIp": str(peer.address),
                "peerAsn": peer.asn,
                "instances": [*map(str, peer.instances)],
            }
            for peer in control.world.route_servers.peers()
        ],
        "operations": [
            {"id": one.id, "kind": one.kind, "target": one.target, "status": one.status, "started": iso(one.started)}
            for one in state.operations.values()
        ],
    }


async def _faults(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    return asdict(control.world.state.faults)


async def _set_faults(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    return _with_faults(control, _object(request))


async def _lift_faults(control: Control, _: Request, __: tuple[str, ...]) -> Json:
    return _with_faults(control, asdict(Faults()))


def _with_faults(control: Control, changes: Json) -> Json:
    control.world.set_faults(changes)
    control.faults_changed()
    return asdict(control.world.state.faults)


async def _data_plane(control: Control, request: Request, names: tuple[str, ...]) -> Json:
    return data_plane_document(control, control.world.data_plane.named(names[0]))


def data_plane_document(control: Control, plane: Plane) -> Json:
    facts = plane.document["properties"]
    pools = [
        {
            "pool": name,
            "backends": [
                {
                    "name": backend.name,
                    "ip": backend.ip,
                    "admin_state": backend.admin_state,
                    "probed_up": plane.probed[backend.ip].up if backend.ip in plane.probed else None,
                    "reason": plane.probed[backend.ip].reason if backend.ip in plane.probed else None,
                }
                for backend in backends
            ],
        }
        for name, backends in plane.pools.items()
    ]
    return {
        "name": plane.document["name"],
        "id": plane.document["id"],
        "version": control.world.data_plane.version,
        "frontend": frontend_ip(plane.document),
        "pools": pools,
        "rules": [_rule(rule) for rule in facts.get("loadBalancingRules", ())],
        "probe": next(({"name": one["name"], **one["properties"]} for one in facts.get("probes", ())), None),
    }


def _rule(rule: Json) -> Json:
    facts = rule["properties"]
    pool = (facts.get("backendAddressPool") or {}).get("id", "")
    return {
        "name": rule["name"],
        "pool": pool.rsplit("/", 1)[-1] or None,
        "protocol": facts.get("protocol"),
        "frontendPort": facts.get("frontendPort"),
        "backendPort": facts.get("backendPort"),
        "probe": ((facts.get("probe") or {}).get("id", "")).rsplit("/", 1)[-1] or None,
    }


async def _report_probes(control: Control, request: Request, names: tuple[str, ...]) -> Json:
    given = _body(request, ("results",))["results"]
    found = {ip: _with_keys(one, f"the result of {ip}", ("up",), ("reason",)) for ip, one in given.items()}
    results = {str(IPv4Address(ip)): probed(_flag(one, "up"), one.get("reason")) for ip, one in found.items()}
    control.world.data_plane.report(names[0], results, request.query.get("probe"))
    answer = await _data_plane(control, request, names)
    there = {backend["ip"] for pool in answer["pools"] for backend in pool["backends"]}
    return {**answer, "inNoPool": sorted(results.keys() - there)}


async def _events(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    deliveries = [delivery.described() for delivery in control.event_grid.deliveries]
    return {
        "published": [resource_event(change) for change in control.world.state.published],
        "subscribers": [
            {"url": one.url, "validated": one.validated.is_set(), "failure": one.failure}
            for one in control.event_grid.subscribers
        ],
        "deliveries": deliveries,
        "deadLettered": [one for one in deliveries if one["state"] == "dead"],
        "topics": control.event_grid.topics,
        "alerts": control.world.alerts.sent,
        "alertDeliveries": [delivery.described() for delivery in control.webhooks.deliveries],
    }


async def _subscribe(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    control.event_grid.subscribe(str(_body(request, ("url",))["url"]))
    return {"subscribers": len(control.event_grid.subscribers)}


async def _receive_alerts(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    control.webhooks.add(str(_body(request, ("url",))["url"]))
    return {}


async def _requests(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    since = int(request.query.get("since", "0"))
    return {"requests": [asdict(one) for one in control.requests if one.number > since]}


async def _bgp(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    table = control.world.bgp
    known = {instance for peer in control.world.route_servers.peers() for instance in peer.instances}
    known |= {instance for instance, _ in table.sessions} | set(control.bgp.instances if control.bgp else ())
    return {
        "instances": [instance_document(control, instance) for instance in sorted(known)],
        "history": [
            {
                "time": iso(one.time),
                "kind": one.kind,
                "instance": str(one.instance),
                "peer": str(one.peer),
                "network": str(one.network) if one.network else None,
                "nextHop": str(one.next_hop) if one.next_hop else None,
                "asPath": list(one.as_path),
            }
            for one in table.history
        ],
    }


def instance_document(control: Control, instance: IPv4Address) -> Json:
    table = control.world.bgp
    peers = sorted(peer for at, peer in table.sessions if at == instance)
    counts: dict[tuple[IPv4Address, IPv4Network], Json] = {}
    for (at, peer, network, kind), count in table.counts.items():
        if at == instance:
            row = counts.setdefault((peer, network), {"peer": str(peer), "network": str(network)})
            row[{"update": "updates", "withdraw": "withdrawals"}[kind]] = count
    return {
        "address": str(instance),
        "running": control.bgp.instances[instance].running if control.bgp else None,
        "sessions": [
            {
                "peer": str(peer),
                "state": "established" if table.sessions[instance, peer].established else "down",
                "since": iso(table.sessions[instance, peer].since),
                "timesEstablished": table.sessions[instance, peer].times_established,
            }
            for peer in peers
        ],
        "routes": [
            {
                "peer": str(peer),
                "network": str(route.network),
                "nextHop": str(route.next_hop),
                "asPath": list(route.as_path),
                "since": iso(route.since),
            }
            for peer in peers
            for route in table.routes(instance, peer)
        ],
        "counts": [{"updates": 0, "withdrawals": 0, **row} for _, row in sorted(counts.items())],
    }


async def _set_routes(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    """Replace what an instance has learned from a peer, as if by BGP."""
    given = _body(request, ("instance", "peer"), ("established", "routes"))
    table = control.world.bgp
    hubs = control.world.state.resources.of_type(HUB)
    _one_of("an instance of a Route Server", given["instance"], [str(one) for hub in hubs for one in instances_of(hub)])
    ends = (IPv4Address(given["instance"]), IPv4Address(given["peer"]))
    if ends[1] in control.world.route_servers.silent:
        raise ControlError(f"the machine of {ends[1]} is off")
    wanted = [_with_keys(one, "a route", ("network", "nextHop"), ("asPath",)) for one in given.get("routes", [])]
    if not _flag({"established": True, **given}, "established"):
        table.down(*ends)
        return {"routes": 0}
    if not table.is_established(*ends):
        table.up(*ends)
    networks = {IPv4Network(route["network"]) for route in wanted}
    table.withdrawn(ends, [route.network for route in table.routes(*ends) if route.network not in networks])
    for route in wanted:
        path = tuple(int(asn) for asn in route.get("asPath", ()))
        table.announced(ends, [IPv4Network(route["network"])], IPv4Address(route["nextHop"]), path)
    return {"routes": len(networks)}


async def _run_instance(control: Control, request: Request, names: tuple[str, ...]) -> Json:
    """Maintenance: stop one Route Server instance, or start it again."""
    if control.bgp is None:
        raise ControlError("the simulator runs without BGP")
    name = _one_of("an instance of a Route Server", names[0], map(str, control.bgp.instances))
    instance = control.bgp.instances[IPv4Address(name)]
    await (instance.start() if _flag(_body(request, ("running",)), "running") else instance.stop())
    return {"address": str(instance.address), "running": instance.running}


async def _put_resource(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    """A resource from nowhere, as another tenant of the subscription would make it: no operation, no event."""
    document = _object(request)
    if "id" not in document:
        raise ControlError("the body lacks 'id'")
    control.world.adopt(document)
    return document


async def _drain(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    given = _body(request, ("subscription", "kind"))
    _one_of("a kind of requests", given["kind"], SIZES)
    control.world.throttle.drain(given["subscription"], given["kind"], control.world.now)
    return given


async def _health_event(control: Control, request: Request, _: tuple[str, ...]) -> Json:
    given = _body(request, ("loadBalancer", "type"), ("severity", "description"))
    plane = control.world.data_plane.named(given["loadBalancer"])
    event = HealthEvent(
        control.world.now,
        plane.document["id"],
        str(given["type"]),
        str(given.get("severity", "Warning")),
        frontend_ip(plane.document),
        str(given.get("description", "")),
    )
    control.world.data_plane.health_events.append(event)
    return {"healthEvents": len(control.world.data_plane.health_events)}


_LB = "/simulator/dataplane/loadBalancers/{name}"

ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("GET", "/simulator/world", _world),
    ("GET", "/simulator/faults", _faults),
    ("POST", "/simulator/faults", _set_faults),
    ("DELETE", "/simulator/faults", _lift_faults),
    ("GET", _LB, _data_plane),
    ("PUT", f"{_LB}/probes", _report_probes),
    ("GET", "/simulator/events", _events),
    ("POST", "/simulator/events/subscribers", _subscribe),
    ("POST", "/simulator/alerts/receivers", _receive_alerts),
    ("GET", "/simulator/requests", _requests),
    ("GET", "/simulator/bgp", _bgp),
    ("PUT", "/simulator/bgp/routes", _set_routes),
    ("POST", "/simulator/bgp/instances/{address}", _run_instance),
    ("PUT", "/simulator/resources", _put_resource),
    ("POST", "/simulator/throttle", _drain),
    ("POST", "/simulator/healthEvents", _health_event),
)
