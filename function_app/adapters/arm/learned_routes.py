"""What the Route Server's instances learned from a peer, and what they advertise to it: two long-running operations,
started in one pass and fetched in a later one (`tokens`). Which routes there should be is decided in `domain.routes`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from function_app.adapters.arm import tokens as arm_tokens
from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json
from function_app.adapters.arm.route_server import KIND
from function_app.adapters.arm.rows import named, networks, read
from function_app.domain.base.errors import Unusable
from function_app.domain.routes.as_paths import parsed
from function_app.domain.routes.reading import LearnedRoute, Unread
from function_app.domain.topology.model import RouteServer


class _PeerRoutesOverArm:
    """What both directions have in common; `_direction` is for messages."""

    _direction = ""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def ask(self, server: RouteServer, peering: str) -> str:
        """Starts the operation (one write of ARM's budget) and gives an opaque token. Raises Unavailable or Superseded."""
        hub_id = ResourceId.parse(server.id, KIND)
        async with calling(
            f"requesting the routes {self._direction} {peering} on {server.name}", self._azure.cloud.timeout
        ):
            poller = await self._begin(hub_id, peering, {})
            return arm_tokens.token_of(server.id, peering, poller)

    async def fetch(self, token: str) -> tuple[LearnedRoute | Unread, ...] | None:
        """The routes of both instances, None while the operation runs; at most one poll and one read.

        Raises Unavailable (keep the token, fetch again later), BadInput (the token is invalid, or ARM does not know the
        operation any more: start again) or Unusable (the answer cannot be read: start again, not soon).
        """
        operation = arm_tokens.operation_of(token, self._azure.cloud.endpoint)
        hub_id = ResourceId.parse(operation.resource, KIND)
        if operation.done:
            return routes(arm_tokens.immediate_answer_of(operation))
        async with calling(f"fetching the routes {self._direction} {operation.child}", self._azure.cloud.timeout):
            body = await arm_tokens.answer_of(operation, partial(self._begin, hub_id, operation.child))
        return None if body is None else routes(body)

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        raise NotImplementedError

    async def _connections(self, hub_id: ResourceId) -> Any:
        return (await self._azure.network(hub_id.subscription)).virtual_hub_bgp_connections


class LearnedRoutesOverArm(_PeerRoutesOverArm):
    _direction = "learned from"

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        connections = await self._connections(hub_id)
        return await connections.begin_list_learned_routes(hub_id.group, hub_id.name, peering, **options)


class AdvertisedRoutesOverArm(_PeerRoutesOverArm):
    _direction = "advertised to"

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        connections = await self._connections(hub_id)
        return await connections.begin_list_advertised_routes(hub_id.group, hub_id.name, peering, **options)


def routes(body: object) -> tuple[LearnedRoute | Unread, ...]:
    """Rows of both roles; a role may be null, and only `localAddress` names the instance (azure-facts.md section 2)."""
    if not isinstance(body, dict):
        raise Unusable(f"it is no object of roles but {type(body).__name__}")
    return read((row for role in sorted(body) for row in _rows(role, body[role])), _route)


def _rows(role: str, listed: object) -> list[object]:
    return listed if isinstance(listed, list) else [] if listed is None else [f"{role}: {listed}"]


def _route(row: Json) -> Iterator[LearnedRoute | Unread]:
    """A row has an instance and a prefix; every other key is optional, and a value that cannot be read is named."""
    for network in networks(row.get("network")):
        read_values = {name: _value(row, name, parse) for name, parse in OPTIONAL.items()}
        values = [None if isinstance(value, Unread) else value for value in read_values.values()]
        yield LearnedRoute(IPv4Address(str(row.get("localAddress"))), network, *values)
        yield from (value for value in read_values.values() if isinstance(value, Unread))


def _value(row: Json, name: str, parse: Callable[[str], Any]) -> Any:
    """None where it is missing. An AS path may be empty; an empty address is a missing one."""
    if (value := row.get(name)) is None:
        return None
    try:
        return parse(str(value))
    except ValueError as error:
        return named(f"{name} of {row.get('network')}: {error}")


def _address(text: str) -> IPv4Address | None:
    return IPv4Address(text) if text else None


OPTIONAL: dict[str, Callable[[str], Any]] = {"nextHop": _address, "asPath": parsed, "sourcePeer": _address}
"""In the order of LearnedRoute's fields."""
