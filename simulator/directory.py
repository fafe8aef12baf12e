"""What ARM answers above single resources: subscriptions, tenants, locations, providers, resource groups, all resources.

Shapes from recordings: azure-cli test_resource_group.yaml (group exists, create, show, delete) and azure-powershell
RouteServerTests/TestRouteServerCRUD (group delete: 202, then a poll every 15 s). A resource belongs to a group that exists.
"""

import re
from collections.abc import Callable

from simulator.identity import TENANT
from simulator.long_running import accepted
from simulator.resources import Json, key_of, parse_path
from simulator.state import GROUP_DELETE_WAITS, ArmError, Operation, OperationKind, OperationStatus
from simulator.wire import Reply, Request
from simulator.world import World

type Handler = Callable[[World, Request, str], Reply]  # the last is the path without a slash at its end

DEFAULT_LOCATION = "uksouth"
LOCATIONS = {"uksouth": "UK South", "ukwest": "UK West", "westeurope": "West Europe", "northeurope": "North Europe"}
NETWORK_VERSIONS = ("2026-03-01", "2025-05-01", "2024-05-01", "2023-11-01", "2021-02-01")
PROVIDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "Microsoft.Network": dict.fromkeys(
        (
            "loadBalancers",
            "networkInterfaces",
            "networkSecurityGroups",
            "publicIPAddresses",
            "routeTables",
            "virtualHubs",
            "virtualHubs/bgpConnections",
            "virtualHubs/ipConfigurations",
            "virtualNetworkGateways",
            "virtualNetworks",
            "virtualNetworks/subnets",
            "virtualNetworks/virtualNetworkPeerings",
        ),
        NETWORK_VERSIONS,
    ),
    "Microsoft.Compute": dict.fromkeys(("virtualMachines", "virtualMachineScaleSets"), ("2025-04-01", "2024-11-01")),
    "Microsoft.Insights": {"metrics": ("2024-02-01", "2023-10-01"), "metricDefinitions": ("2024-02-01",)},
    "Microsoft.EventGrid": {"eventSubscriptions": ("2025-02-15", "2022-06-15")},
    "Microsoft.OperationalInsights": {"workspaces": ("2025-02-01",)},
    "Microsoft.Resources": {"resourceGroups": ("2025-04-01", "2021-04-01"), "subscriptions": ("2022-12-01",)},
}
CLAUSE = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*", re.IGNORECASE)


def answer(world: World, request: Request) -> Reply:
    """The reply to a request whose path is not below a provider's type. Raises ArmError."""
    path = request.path.rstrip("/")
    known = False
    for method, form, act in ROUTES:
        found = form.fullmatch(path)
        if found is not None:
            known = True
            if method == request.method:
                return act(world, request, path)
    if known:
        raise ArmError(405, "MethodNotAllowed", f"The simulator does not answer {request.method} of {path}.")
    raise ArmError(404, "InvalidResource", f"The simulator has nothing at {request.path}.")


# Subscriptions, tenants, locations


def _subscriptions(world: World, _request: Request, _path: str) -> Reply:
    described = [_subscription(name) for name in _names(world)]
    return Reply(200, {"value": described, "count": {"type": "Total", "value": len(described)}})


def _one_subscription(world: World, _request: Request, path: str) -> Reply:
    return Reply(200, _subscription(_known_subscription(world, path)))


def _names(world: World) -> list[str]:
    return sorted(world.state.resources.scopes())


def _known_subscription(world: World, path: str) -> str:
    """As it was written. Raises ArmError."""
    wanted = path.split("/")[2]
    if wanted.lower() not in _names(world):
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{wanted}' could not be found.")
    return wanted


def _subscription(name: str) -> Json:
    return {
        "id": f"/subscriptions/{name}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": name,
        "tenantId": TENANT,
        "displayName": name,
        "state": "Enabled",
    }


def _tenants(_world: World, _request: Request, _path: str) -> Reply:
    tenant = {"id": f"/tenants/{TENANT}", "tenantId": TENANT, "displayName": "simulator", "tenantCategory": "Home"}
    return Reply(200, {"value": [tenant]})


def _locations(world: World, _request: Request, path: str) -> Reply:
    subscription = _known_subscription(world, path)
    used = {str(document["location"]) for document in world.state.resources.all() if "location" in document}
    return Reply(
        200,
        {
            "value": [
                {
                    "id": f"/subscriptions/{subscription}/locations/{name}",
                    "name": name,
                    "type": "Region",
                    "displayName": LOCATIONS.get(name, name),
                    "regionalDisplayName": LOCATIONS.get(name, name),
                    "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
                }
                for name in sorted(LOCATIONS.keys() | used)
            ]
        },
    )


# Providers


def _providers(world: World, _request: Request, path: str) -> Reply:
    subscription = _known_subscription(world, path)
    return Reply(200, {"value": [_provider(subscription, namespace) for namespace in PROVIDERS]})


def _one_provider(world: World, _request: Request, path: str) -> Reply:
    return Reply(200, _provider(_known_subscription(world, path), path.split("/")[4]))


def _provider(subscription: str, wanted: str) -> Json:
    namespace = next((name for name in PROVIDERS if name.lower() == wanted.lower()), None)
    if namespace is None:
        raise ArmError(404, "InvalidResourceNamespace", f"The resource namespace '{wanted}' is invalid.")
    return {
        "id": f"/subscriptions/{subscription}/providers/{namespace}",
        "namespace": namespace,
        "resourceTypes": [
            {
                "resourceType": kind,
                "locations": list(LOCATIONS.values()),
                "apiVersions": list(versions),
                "defaultApiVersion": versions[0],
                "capabilities": "CrossResourceGroupResourceMove, SupportsTags, SupportsLocation",
            }
            for kind, versions in PROVIDERS[namespace].items()
        ],
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
    }


# Resource groups


def _groups(world: World, _request: Request, path: str) -> Reply:
    wanted = _known_subscription(world, path)
    return Reply(
        200, {"value": [_described(world, wanted, name) for name in world.state.resources.scopes()[wanted.lower()]]}
    )


def _described(world: World, subscription: str, name: str) -> Json:
    """As it was made, or, of a group that only its resources speak of, as they have it."""
    resources = world.state.resources
    scope = f"/subscriptions/{subscription}/resourceGroups/{name}"
    if key_of(scope) not in world.groups:
        held = resources.below(scope)
        at = next((document["location"] for document in held if "location" in document), DEFAULT_LOCATION)
        spelt = next(("/".join(document["id"].split("/")[:5]) for document in held), scope)
        world.groups[key_of(scope)] = _document(spelt, {"location": at})
    return world.groups[key_of(scope)]


def _document(scope: str, given: Json) -> Json:
    return {
        "id": scope,
        "name": scope.rpartition("/")[2],
        "type": "Microsoft.Resources/resourceGroups",
        "location": _plain(given["location"]),
        **({"managedBy": given["managedBy"]} if given.get("managedBy") else {}),
        "tags": given.get("tags") or {},
        "properties": {"provisioningState": "Succeeded"},
    }


def _plain(location: object) -> str:
    return str(location).replace(" ", "").lower()


def _group(world: World, path: str) -> Json:
    """Raises ArmError."""
    subscription, name = _known_subscription(world, path), path.split("/")[4]
    if not world.state.resources.has_group(subscription, name):
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return _described(world, subscription, name)


def _show_group(world: World, _request: Request, path: str) -> Reply:
    return Reply(200, _group(world, path))


def _group_exists(world: World, _request: Request, path: str) -> Reply:
    return Reply(204 if world.state.resources.has_group(path.split("/")[2], path.split("/")[4]) else 404)


def _put_group(world: World, request: Request, path: str) -> Reply:
    body = request.document()
    if not body.get("location"):
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    subscription, name = _known_subscription(world, path), path.split("/")[4]
    created = not world.state.resources.has_group(subscription, name)
    scope = f"/subscriptions/{subscription}/resourceGroups/{name}"
    if not created:
        known = _described(world, subscription, name)
        scope = known["id"]
        if known["location"] != _plain(body["location"]):
            # The words are not from a recording.
            message = (
                f"Invalid resource group location '{body['location']}'. The Resource group already exists in location "
            )
            raise ArmError(409, "InvalidResourceGroupLocation", f"{message}'{known['location']}'.")
    world.state.resources.add_scope(scope)
    world.groups[key_of(scope)] = _document(scope, body)
    return Reply(201 if created else 200, world.groups[key_of(scope)])


def _patch_group(world: World, request: Request, path: str) -> Reply:
    group = _group(world, path)
    body = request.document()
    if "tags" in body:
        group["tags"] = body["tags"] or {}
    return Reply(200, group)


def _delete_group(world: World, request: Request, path: str) -> Reply:
    group = _group(world, path)
    group["properties"]["provisioningState"] = "Deleting"

    def finish(operation: Operation) -> None:
        if operation.status is not OperationStatus.SUCCEEDED:
            group["properties"]["provisioningState"] = "Succeeded"
            return
        world.remove(group["id"])
        world.groups.pop(key_of(group["id"]), None)
        world.state.resources.drop_group(*group["id"].split("/")[2:5:2])

    operation = world.state.begin(OperationKind.DELETE, group, GROUP_DELETE_WAITS, finish)
    return accepted(world, request, operation, Reply(202))


# All resources


def _resources(world: World, request: Request, path: str) -> Reply:
    """Those with a location, as ARM's list has them: no children that are kept within their parent."""
    _known_subscription(world, path)
    scope = path.rpartition("/")[0]
    if len(scope.split("/")) > 3:
        _group(world, scope)
    clauses = _clauses(request.query.get("$filter", ""))
    prefix = key_of(scope) + "/"
    value = []
    for document in world.state.resources.all():
        at = parse_path(document["id"])
        if at is None or len(at.types) != 1 or not key_of(document["id"]).startswith(prefix):
            continue
        row = {
            name: document[name]
            for name in ("id", "name", "type", "location", "tags", "kind", "sku")
            if name in document
        }
        row.setdefault("location", DEFAULT_LOCATION)
        facts = {
            "resourcetype": at.type,
            "name": at.names[0],
            "resourcegroup": at.group or "",
            "location": row["location"],
        }
        if all(facts[name].lower() == wanted for name, wanted in clauses.items()):
            value.append(row)
    return Reply(200, {"value": value})


def _clauses(given: str) -> dict[str, str]:
    """Of `name eq 'x' and …`. Raises ArmError for what the simulator cannot filter by, rather than answer too much."""
    clauses = {}
    for part in filter(None, re.split(r"\s+and\s+", given, flags=re.IGNORECASE)):
        found = CLAUSE.fullmatch(part)
        if found is None or found[1].lower() not in ("resourcetype", "name", "resourcegroup", "location"):
            message = (
                f"The simulator filters by resourceType, name, resourceGroup and location, not by {part.strip()!r}."
            )
            raise ArmError(400, "InvalidFilterInQueryString", message)
        clauses[found[1].lower()] = found[2].lower().rstrip("/")
    return clauses


_SUBSCRIPTION = "/subscriptions/[^/]+"
_GROUP = f"{_SUBSCRIPTION}/resourcegroups/[^/]+"


def _form(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
    ("GET", _form("/subscriptions"), _subscriptions),
    ("GET", _form(_SUBSCRIPTION), _one_subscription),
    ("GET", _form("/tenants"), _tenants),
    ("GET", _form(f"{_SUBSCRIPTION}/locations"), _locations),
    ("GET", _form(f"{_SUBSCRIPTION}/providers"), _providers),
    ("GET", _form(f"{_SUBSCRIPTION}/providers/[^/]+"), _one_provider),
    ("POST", _form(f"{_SUBSCRIPTION}/providers/[^/]+/register"), _one_provider),
    ("GET", _form(f"{_SUBSCRIPTION}/resourcegroups"), _groups),
    ("GET", _form(_GROUP), _show_group),
    ("HEAD", _form(_GROUP), _group_exists),
    ("PUT", _form(_GROUP), _put_group),
    ("PATCH", _form(_GROUP), _patch_group),
    ("DELETE", _form(_GROUP), _delete_group),
    ("GET", _form(f"{_SUBSCRIPTION}/resources"), _resources),
    ("GET", _form(f"{_GROUP}/resources"), _resources),
)
