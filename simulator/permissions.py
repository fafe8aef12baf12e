"""Role-based access: which action a request needs at which scope, and whether what was granted covers it.

    GET of type or collection   {type}/read           PUT, PATCH   {type}/write
    POST {resource}/{verb}      {type}/{verb}/action  DELETE       {type}/delete

What a write refers to needs an action of its own there (a linked one):

    a pool that holds interfaces     join/action of the pool (not from a recording: the write itself leaves them out)
    a pool that holds addresses      joinLoadBalancer/action of their network (MicrosoftDocs/azure-docs pull 99935)
    ... that name their subnet       subnets/joinLoadBalancer/action of it (seen refused: index ids 37067337944, 67114211494)
    a peering between two networks   peer/action of the other one

Messages as Azure's are quoted in public reports (kubernetes-sigs/cloud-provider-azure issue 1999, Azure/ARO-HCP pull 1611).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from simulator.resources import Json, ResourcePath, Resources, key_of, parse_path
from simulator.state import ArmError
from simulator.wire import Request

CLIENT = "77777777-0000-4000-8000-000000000000"
SUFFIXES = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
LOAD_BALANCER = "microsoft.network/loadbalancers"
POOL = f"{LOAD_BALANCER}/backendaddresspools"
NETWORK_PEERING = "microsoft.network/virtualnetworks/virtualnetworkpeerings"
EXTENSIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(form, re.IGNORECASE), action)
    for form, action in (
        (r"(.+)/providers/microsoft\.insights/metrics", "Microsoft.Insights/metrics"),
        (r"(.+)/providers/microsoft\.insights/metricDefinitions", "Microsoft.Insights/metricDefinitions"),
        (r"(.+)/providers/microsoft\.insights/eventtypes/management/values", "Microsoft.Insights/eventtypes/values"),
        (r"(.+)/providers/microsoft\.eventgrid/eventSubscriptions(?:/.+)?", "Microsoft.EventGrid/eventSubscriptions"),
        (
            r"(/subscriptions/[^/]+/resourceGroups/[^/]+)(?:/resources)?",
            "Microsoft.Resources/subscriptions/resourceGroups",
        ),
    )
)
"""What is not below a provider's type: its path up to the scope, and the action without the verb's suffix."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions (with `*` for anything) at a scope: a resource id, a resource group or a subscription, and all below."""

    scope: str
    actions: tuple[str, ...]

    def covers(self, action: str, scope: str) -> bool:
        here, there = key_of(self.scope), key_of(scope)
        inside = there == here or there.startswith(f"{here}/")
        return inside and any(fnmatchcase(action.lower(), granted.lower()) for granted in self.actions)


class Permissions:
    """What the one client may do; without any grants said, everything."""

    def __init__(self, granted: Sequence[Mapping[str, Any]] | None) -> None:
        self._grants = None if granted is None else [Grant(g["scope"], tuple(g["actions"])) for g in granted]

    def check(self, request: Request, resources: Resources) -> None:
        """Whether a request to ARM is allowed, with everything that its body refers to. Raises ArmError."""
        if self._grants is None:
            return
        needed = needed_by(request)
        if needed is None:
            return
        action, scope = needed
        self.demand(action, scope)
        for linked, at in linked_by(request, resources):
            if not self._has(linked, at):
                raise _linked_failed((action, scope), (linked, at))

    def demand(self, action: str, scope: str) -> None:
        """Raises ArmError."""
        if self._grants is not None and not self._has(action, scope):
            raise ArmError(
                403,
                "AuthorizationFailed",
                f"The client '{CLIENT}' with object id '{CLIENT}' does not have authorization to perform action "
                f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
                "refresh your credentials.",
            )

    def demand_anywhere(self, action: str) -> None:
        """Of what is addressed by another name than its resource id: a workspace's queries. Raises ArmError."""
        if self._grants is not None and not any(grant.covers(action, grant.scope) for grant in self._grants):
            raise ArmError(
                403,
                "InsufficientAccessError",
                "The provided credentials have insufficient access to perform the requested operation",
            )

    def _has(self, action: str, scope: str) -> bool:
        return any(grant.covers(action, scope) for grant in self._grants or ())


def needed_by(request: Request) -> tuple[str, str] | None:
    """(action, scope), or None for what everybody may ask: which subscriptions there are."""
    suffix = SUFFIXES.get(request.method, "write")
    for form, action in EXTENSIONS:
        found = form.fullmatch(request.path)
        if found is not None:
            return f"{action}/{suffix}", found[1]
    path = parse_path(request.path)
    if path is None:
        return None
    if request.method == "POST":
        return f"{path.type}/action", path.up().id
    return f"{path.type}/{suffix}", _scope(path)


def _scope(path: ResourcePath) -> str:
    """Of a collection what holds it: its parent, its resource group or its subscription."""
    if path.is_resource:
        return path.id
    if path.names:
        return path.up().id
    group = f"/resourceGroups/{path.group}" if path.group is not None else ""
    return f"/subscriptions/{path.subscription}{group}"


def linked_by(request: Request, resources: Resources) -> Iterator[tuple[str, str]]:
    """(action, scope) of everything that a write refers to, in its body or by what is kept."""
    path = parse_path(request.path)
    if path is None or request.method != "PUT":
        return
    facts = request.document().get("properties") or {}
    match path.type.lower():
        case kind if kind == POOL:
            held = [_pool_in(resources.get(path.up().id), path.names[-1]), facts]
            yield from dict.fromkeys(need for each in held for need in _linked_by_pool(path.id, each))
        case kind if kind == LOAD_BALANCER:
            for pool in facts.get("backendAddressPools") or ():
                yield from _linked_by_pool(f"{path.id}/backendAddressPools/{pool.get('name')}", pool["properties"])
        case kind if kind == NETWORK_PEERING:
            remote = (facts.get("remoteVirtualNetwork") or {}).get("id")
            if remote:
                yield "Microsoft.Network/virtualNetworks/peer/action", remote


def _pool_in(balancer: Json | None, name: str) -> Json:
    pools = balancer["properties"].get("backendAddressPools", ()) if balancer is not None else ()
    return next((dict(pool["properties"]) for pool in pools if pool["name"].lower() == name.lower()), {})


def _linked_by_pool(pool: str, facts: Json) -> Iterator[tuple[str, str]]:
    addresses = [item.get("properties") or {} for item in facts.get("loadBalancerBackendAddresses") or ()]
    if any(address.get("networkInterfaceIPConfiguration") for address in addresses):
        yield "Microsoft.Network/loadBalancers/backendAddressPools/join/action", pool
    networks = {(holder.get("virtualNetwork") or {}).get("id") for holder in (facts, *addresses)}
    for network in sorted(filter(None, networks)):
        yield "Microsoft.Network/virtualNetworks/joinLoadBalancer/action", network
    subnets = {(address.get("subnet") or {}).get("id") for address in addresses}
    for subnet in sorted(filter(None, subnets)):
        yield "Microsoft.Network/virtualNetworks/subnets/joinLoadBalancer/action", subnet


def _linked_failed(has: tuple[str, str], lacks: tuple[str, str]) -> ArmError:
    return ArmError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{CLIENT}' with object id '{CLIENT}' has permission to perform action '{has[0]}' on scope "
        f"'{has[1]}'; however, it does not have permission to perform action(s) '{lacks[0]}' on the linked scope(s) "
        f"'{lacks[1]}' (respectively) or the linked scope(s) are invalid.",
    )
