"""The verbs of an administrator's day that are not the product's: paths to handlers, like `arm.py`'s own.

Deletions, a Route Server's IP configuration, machines that stop and start, what is effective at a network interface, and
what a virtual network gateway has learned.
"""

from collections.abc import Callable
from functools import partial

from simulator import children, deletions, effective_rules
from simulator.kinds import GATEWAY
from simulator.long_running import accepted, deleted, written
from simulator.machines import MACHINE, VERBS, Verb
from simulator.refusals import missing
from simulator.resources import Json, ResourcePath
from simulator.state import ROUTES_WAITS, ArmError, Operation, OperationKind
from simulator.wire import Reply, Request
from simulator.world import World

type Handler = Callable[[World, Request, ResourcePath], Reply]


def _delete(world: World, request: Request, path: ResourcePath) -> Reply:
    return deleted(world, request, deletions.delete(world, path.id))


def _put_addresses(world: World, request: Request, path: ResourcePath) -> Reply:
    return written(world, request, world.hub_addresses.put(path, request.document()))


def _delete_addresses(world: World, request: Request, path: ResourcePath) -> Reply:
    return deleted(world, request, world.hub_addresses.delete(path))


def _put_child(world: World, request: Request, path: ResourcePath) -> Reply:
    return written(world, request, children.put(world, path, request.document(), request.headers.get("if-match")))


def _delete_child(world: World, request: Request, path: ResourcePath) -> Reply:
    return deleted(world, request, children.delete(world, path, request.headers.get("if-match")))


# Machines


def _machine_verb(verb: Verb, world: World, request: Request, path: ResourcePath) -> Reply:
    return accepted(world, request, world.machines.begin(_owner(world, path), verb), Reply(202))


def _machine(world: World, request: Request, path: ResourcePath) -> Reply:
    if not path.is_resource:
        return Reply(200, {"value": world.state.resources.in_collection(path)})
    machine = _found(world, path)
    if "instanceview" not in request.query.get("$expand", "").lower():
        return Reply(200, machine)
    return Reply(
        200, {**machine, "properties": {**machine["properties"], "instanceView": world.machines.view(machine)}}
    )


def _instance_view(world: World, _request: Request, path: ResourcePath) -> Reply:
    return Reply(200, world.machines.view(_owner(world, path)))


# Actions that only ask


def _effective_rules(world: World, request: Request, path: ResourcePath) -> Reply:
    interface = _owner(world, path)
    return _asked(world, request, interface, {"value": effective_rules.of(world.state.resources, interface)})


def _gateway(key: str, world: World, request: Request, path: ResourcePath) -> Reply:
    gateway = _owner(world, path)
    rows = world.gateways.get(gateway["id"].lower(), {}).get(key)
    if rows is None:
        raise ArmError(
            405,
            "MethodNotAllowed",
            f"The simulator has no BGP of virtual network gateways but what its seed says: gateways.{{id}}.{key}.",
        )
    return _asked(world, request, gateway, {"value": rows})


def _asked(world: World, request: Request, document: Json, result: Json) -> Reply:
    def finish(operation: Operation) -> None:
        operation.result = result

    operation = world.state.begin(OperationKind.ACTION, document, ROUTES_WAITS, finish)
    return accepted(world, request, operation, Reply(202, None))


def _owner(world: World, path: ResourcePath) -> Json:
    """What an action is of. Raises ArmError."""
    return _found(world, path.up())


def _found(world: World, path: ResourcePath) -> Json:
    document = world.state.resources.get(path.id)
    if document is None:
        raise missing(path)
    return document


_LB = "microsoft.network/loadbalancers"
_HUB = "microsoft.network/virtualhubs"
_VM = MACHINE.lower()
_GATEWAY = GATEWAY.lower()

HANDLERS: dict[tuple[str, str], Handler] = {
    **{(kind, "DELETE"): _delete for kind in deletions.DELETABLE},
    (f"{_HUB}/ipconfigurations", "PUT"): _put_addresses,
    (f"{_HUB}/ipconfigurations", "DELETE"): _delete_addresses,
    (f"{_LB}/backendaddresspools", "DELETE"): _delete_child,
    (f"{_LB}/inboundnatrules", "PUT"): _put_child,
    (f"{_LB}/inboundnatrules", "DELETE"): _delete_child,
    ("microsoft.network/virtualnetworks/subnets", "PUT"): _put_child,
    ("microsoft.network/virtualnetworks/subnets", "DELETE"): _delete_child,
    (_VM, "GET"): _machine,
    (f"{_VM}/instanceview", "GET"): _instance_view,
    **{(f"{_VM}/{name}", "POST"): partial(_machine_verb, verb) for name, verb in VERBS.items()},
    ("microsoft.network/networkinterfaces/effectivenetworksecuritygroups", "POST"): _effective_rules,
    (f"{_GATEWAY}/getlearnedroutes", "POST"): partial(_gateway, "learnedRoutes"),
    (f"{_GATEWAY}/getadvertisedroutes", "POST"): partial(_gateway, "advertisedRoutes"),
    (f"{_GATEWAY}/getbgppeerstatus", "POST"): partial(_gateway, "bgpPeerStatus"),
}
