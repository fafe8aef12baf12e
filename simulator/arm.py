"""Azure Resource Manager as a wire format over the world: paths to handlers, long-running operations, throttling.

Any api-version is accepted, none is refused. Types with behaviour have handlers in the table; every other type is what the
seed says it is and can be read and listed. Faults that concern the connection (hang, lost reply) are the server's.
"""

from collections.abc import Callable

from simulator import directory, documents, extensions, identity, verbs
from simulator.documents import INTERFACE
from simulator.kinds import KINDS
from simulator.long_running import OPERATION, accepted, deleted, poll, written
from simulator.refusals import (
    demand_known,
    demand_name,
    demand_scope,
    demand_tags_alone,
    missing,
    parent_missing,
    reference_missing,
)
from simulator.resources import Json, ResourcePath, parse_path
from simulator.route_servers import HUB
from simulator.state import ROUTES_WAITS, ArmError, Operation, OperationKind
from simulator.wire import (
    JSON_TYPE,
    NO_BODY,
    Reply,
    Request,
    common_headers,
    error_reply,
)
from simulator.world import World

type Handler = Callable[[World, Request, ResourcePath], Reply]

SPOKEN = ("/subscriptions", "/tenants", "/providers")  # where ARM is: elsewhere nothing is kept from strangers
BUCKETS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def answer(world: World, request: Request) -> Reply:
    """The reply to an ARM request, with the headers ARM sets. Effects of the request are in the world."""
    parts = request.path.strip("/").split("/")
    subscription = parts[1] if len(parts) > 1 else ""
    bucket = BUCKETS.get(request.method, "writes")
    refused = _refused(world, request)
    left, wait = world.throttle.take(subscription, bucket, world.now)
    if refused is not None:
        reply = error_reply(refused)
    elif wait:
        message = f"Number of {bucket} for subscription '{subscription}' exceeded the limit. Try again later."
        reply = error_reply(ArmError(429, "SubscriptionRequestsThrottled", message, retry_after=wait))
    else:
        try:
            world.permissions.check(request, world.state.resources)
            reply = _dispatch(world, request)
        except ArmError as error:
            reply = error_reply(error)
    headers = common_headers(world.state, reply.headers.get("x-ms-request-id") or world.state.new_id())
    headers[f"x-ms-ratelimit-remaining-subscription-{bucket}"] = str(left)
    if reply.body is not NO_BODY:
        headers["Content-Type"] = JSON_TYPE
    reply.headers = headers | reply.headers
    return reply


def _refused(world: World, request: Request) -> ArmError | None:
    """What no request is answered without: a token, and the version of the API that it speaks."""
    if not request.path.lower().startswith(SPOKEN):
        return None
    try:
        identity.check(request, world.now, identity.MANAGEMENT)
    except ArmError as error:
        return error
    if any(name.lower() == "api-version" and value for name, value in request.query.items()):
        return None
    message = "The api-version query parameter (?api-version=) is required for all requests."
    return ArmError(400, "MissingApiVersionParameter", message)


def _dispatch(world: World, request: Request) -> Reply:
    operation = OPERATION.fullmatch(request.path)
    if operation is not None:
        return poll(world, request, operation.group(1).lower(), operation.group(2))
    extended = extensions.answer(world, request) if "/providers/microsoft." in request.path.lower() else None
    if extended is not None:
        return extended
    path = parse_path(request.path)
    if path is None or path.types == ("register",):
        return directory.answer(world, request)
    return _of_type(world, request, path)


def _of_type(world: World, request: Request, path: ResourcePath) -> Reply:
    """The reply of what is below a provider's type."""
    demand_scope(world.state.resources, path.subscription, path.group)
    if request.method == "PUT" and path.is_resource:
        demand_name(path)
        demand_known(path, request.document(), world.state.resources.get(path.id))
    handler = HANDLERS.get((path.type.lower(), request.method))
    if handler is not None:
        return handler(world, request, path)
    if not _is_simulated(world, request.method, path):
        words = f"The simulator does not simulate {path.type}, and its seed has none of that type:"
        raise ArmError(405, "MethodNotAllowed", f"{words} docs/simulator.md says what is simulated.")
    if request.method in ("GET", "HEAD"):
        return _read(world, request, path)
    if request.method == "DELETE" and path.is_resource and documents.resource(world.state.resources, path) is None:
        return Reply(204)
    raise _not_allowed(path, request.method)


def _is_simulated(world: World, method: str, path: ResourcePath) -> bool:
    """Whether an answer is more than that nothing is known of the type: an empty list would say that there is none.

    What is not there is not there, of any type: a resource that is read or deleted by its id.
    """
    if path.is_resource and (method in ("HEAD", "DELETE") or (method == "GET" and len(path.names) == 1)):
        return True
    kind = path.type.lower()
    owner = kind.rpartition("/")[0] if method == "POST" else kind
    return owner in TYPES or any(world.state.resources.of_type(each) for each in (kind, owner))


def _not_allowed(path: ResourcePath, method: str) -> ArmError:
    """Of the simulator, not of ARM: it says what there is instead."""
    there = ["GET", "HEAD", *(verb for kind, verb in HANDLERS if kind == path.type.lower() and verb != "GET")]
    actions = [
        kind.rpartition("/")[2]
        for kind, verb in HANDLERS
        if kind.startswith(path.type.lower() + "/") and verb == "POST"
    ]
    also = f", and the actions {', '.join(actions)}" if actions else ""
    return ArmError(
        405,
        "MethodNotAllowed",
        f"The simulator does not answer {method} of {path.type}; of that type it answers {', '.join(there)}{also}.",
    )


# Reading


def _read(world: World, request: Request, path: ResourcePath) -> Reply:
    resources = world.state.resources
    if not path.is_resource:
        return Reply(200, {"value": documents.collection(resources, path, request.method)})
    document = documents.resource(resources, path)
    if document is None:
        raise missing(path)
    # HEAD: "Resources - Check Existence" of ARM's own API.
    return Reply(204) if request.method == "HEAD" else _resource(document)


def _resource(document: Json) -> Reply:
    return Reply(200, document, {"ETag": document["etag"]} if "etag" in document and document["type"] != HUB else {})


# Route Servers and their peerings


def _put_peering(world: World, request: Request, path: ResourcePath) -> Reply:
    document, operation = world.route_servers.put_peering(path, request.document())
    if operation is None:
        return _resource(document)
    return accepted(world, request, operation, Reply(201, document))


def _delete_peering(world: World, request: Request, path: ResourcePath) -> Reply:
    operation = world.route_servers.delete_peering(path)
    return deleted(world, request, operation)


def _learned(world: World, request: Request, path: ResourcePath) -> Reply:
    operation = world.route_servers.begin_routes(path.up(), learned=True)
    return accepted(world, request, operation, Reply(202, None))


def _advertised(world: World, request: Request, path: ResourcePath) -> Reply:
    operation = world.route_servers.begin_routes(path.up(), learned=False)
    return accepted(world, request, operation, Reply(202, None))


def _put_hub(world: World, request: Request, path: ResourcePath) -> Reply:
    created = world.state.resources.get(path.id) is None
    document, operation = world.hubs.put(path, request.document(), request.headers.get("if-match"))
    return accepted(world, request, operation, Reply(201 if created else 200, document))


def _patch_hub(world: World, request: Request, path: ResourcePath) -> Reply:
    # Recorded without Azure-AsyncOperation, although the answer says Updating.
    document, _ = world.hubs.patch(path, demand_tags_alone(path, request.document()))
    return Reply(200, document, {"Azure-AsyncNotification": "Enabled"})


def _delete_hub(world: World, request: Request, path: ResourcePath) -> Reply:
    operation = world.hubs.delete(path)
    return deleted(world, request, operation)


# Peerings between networks


def _put_network_peering(world: World, request: Request, path: ResourcePath) -> Reply:
    match = request.headers.get("if-match")
    return written(world, request, world.network_peerings.put(path, request.document(), match))


# Documents without behaviour of their own


def _put_document(world: World, request: Request, path: ResourcePath) -> Reply:
    if len(path.names) > 1 and world.state.resources.get(path.up().id) is None:
        raise parent_missing(path, "PUT")
    return written(world, request, world.documents.put(path, request.document(), request.headers.get("if-match")))


def _patch_document(world: World, request: Request, path: ResourcePath) -> Reply:
    tags = demand_tags_alone(path, request.document())
    return _resource(world.documents.patch(path, tags, request.headers.get("if-match")))


def _put_interface(world: World, request: Request, path: ResourcePath) -> Reply:
    """Written whole; it then is in the backend pools that its configurations name."""
    body, match = request.document(), request.headers.get("if-match")
    for pool in world.load_balancers.unknown_pools(body):
        raise reference_missing(pool, path.id)
    return written(world, request, world.documents.put(path, body, match, world.load_balancers.follow))


# Load balancers


def _put_load_balancer(world: World, request: Request, path: ResourcePath) -> Reply:
    match = request.headers.get("if-match")
    document, created, operation = world.load_balancers.put(path, request.document(), match)
    return written(world, request, (document, created, operation))


def _patch_load_balancer(world: World, request: Request, path: ResourcePath) -> Reply:
    tags = demand_tags_alone(path, request.document())
    return _resource(world.load_balancers.patch(path, tags, request.headers.get("if-match")))


def _put_pool(world: World, request: Request, path: ResourcePath) -> Reply:
    match = request.headers.get("if-match")
    return written(world, request, world.load_balancers.put_pool(path, request.document(), match))


def _health(world: World, request: Request, path: ResourcePath) -> Reply:
    owner = world.load_balancers.owner(path.up(), "POST")
    rule = world.load_balancers.child(path.up())
    world.data_plane.health(owner["id"], rule)  # refuses now what would be refused later

    def finish(operation: Operation) -> None:
        operation.result = world.data_plane.health(owner["id"], rule)

    waits = (world.state.faults.health_seconds,)
    operation = world.state.begin(OperationKind.ACTION, owner, waits, finish)
    return accepted(world, request, operation, Reply(202, None))


def _effective_routes(world: World, request: Request, path: ResourcePath) -> Reply:
    document = world.state.resources.get(path.up().id)
    if document is None:
        raise parent_missing(path, "POST")
    routes = world.effective_routes.get(path.up().id.lower(), [])

    def finish(operation: Operation) -> None:
        operation.result = {"value": routes}

    operation = world.state.begin(OperationKind.ACTION, document, ROUTES_WAITS, finish)
    return accepted(world, request, operation, Reply(202, None))


def _scale_set_interfaces(world: World, request: Request, path: ResourcePath) -> Reply:
    return Reply(200, {"value": world.scale_sets.interfaces(path.up())})


_HUB = "microsoft.network/virtualhubs"
_LB = "microsoft.network/loadbalancers"

# Types with behaviour of their own; a GET or list of any other type is answered from the seed.
HANDLERS: dict[tuple[str, str], Handler] = {
    **verbs.HANDLERS,
    (_HUB, "PUT"): _put_hub,
    (_HUB, "PATCH"): _patch_hub,
    (_HUB, "DELETE"): _delete_hub,
    (f"{_HUB}/bgpconnections", "PUT"): _put_peering,
    (f"{_HUB}/bgpconnections", "DELETE"): _delete_peering,
    (f"{_HUB}/bgpconnections/learnedroutes", "POST"): _learned,
    (f"{_HUB}/bgpconnections/advertisedroutes", "POST"): _advertised,
    ("microsoft.network/virtualnetworks/virtualnetworkpeerings", "PUT"): _put_network_peering,
    (_LB, "PUT"): _put_load_balancer,
    (_LB, "PATCH"): _patch_load_balancer,
    (f"{_LB}/backendaddresspools", "PUT"): _put_pool,
    (f"{_LB}/loadbalancingrules/health", "POST"): _health,
    **{(name, "PUT"): _put_document for name, kind in KINDS.items() if kind.is_written_whole},
    **{(name, "PATCH"): _patch_document for name, kind in KINDS.items() if kind.is_written_whole and kind.has_tags},
    (INTERFACE.lower(), "PUT"): _put_interface,
    ("microsoft.network/networkinterfaces/effectiveroutetable", "POST"): _effective_routes,
    ("microsoft.compute/virtualmachinescalesets/networkinterfaces", "GET"): _scale_set_interfaces,
}

# Every type of which more is known than what the seed says.
TYPES = frozenset(
    {name for name, _ in HANDLERS}
    | {f"{name}/{child}".lower() for name, kind in KINDS.items() for child in (*kind.embedded, *kind.shown)}
    | {f"{name}/{child}" for name, child in documents.FROM_OTHERS}
    | {f"{namespace}/{kind}".lower() for namespace, kinds in directory.PROVIDERS.items() for kind in kinds}
    | KINDS.keys()
)
