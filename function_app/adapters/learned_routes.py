"""What the Route Server's instances learned from a peer, and what they advertise to it: two long-running operations,
asked in one pass, fetched in another (`arm_tokens`). Which routes there should be is `domain/routes`' business.
"""

from functools import partial
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from function_app.adapters import arm_tokens
from function_app.adapters.azure import Azure, Json, ResourceId, calling
from function_app.adapters.route_server import KIND
from function_app.domain.errors import Unavailable
from function_app.domain.observation import LearnedRoute
from function_app.domain.topology import RouteServer


class _PeerRoutesOverArm:
    """What both directions have in common; `_said` is the direction in words."""

    _said = ""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def ask(self, server: RouteServer, peering: str) -> str:
        """Begins the operation (one write token) and gives an opaque token. Raises Unavailable or Superseded."""
        hub_id = ResourceId.parse(server.id, KIND)
        async with calling(f"asking for the routes {self._said} {peering} on {server.name}", self._azure.cloud.timeout):
            poller = await self._begin(hub_id, peering, {})
            return arm_tokens.kept(server.id, peering, poller)

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        """The routes of both instances, None while there are none yet; at most one look and one read.

        Raises Unavailable (keep the token and come back) or BadInput (the token is forged, broken, or the operation is
        gone: ask again).
        """
        held = arm_tokens.opened(token, self._azure.cloud.endpoint)
        hub_id = ResourceId.parse(held.resource, KIND)
        if held.done:
            return _routes(arm_tokens.at_once(held))
        async with calling(f"fetching the routes {self._said} {held.child}", self._azure.cloud.timeout):
            body = await arm_tokens.answer(held, partial(self._begin, hub_id, held.child))
        return None if body is None else _routes(body)

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        raise NotImplementedError

    async def _connections(self, hub_id: ResourceId) -> Any:
        return (await self._azure.network(hub_id.subscription)).virtual_hub_bgp_connections


class LearnedRoutesOverArm(_PeerRoutesOverArm):
    _said = "learned from"

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        connections = await self._connections(hub_id)
        return await connections.begin_list_learned_routes(hub_id.group, hub_id.name, peering, **options)


class AdvertisedRoutesOverArm(_PeerRoutesOverArm):
    _said = "advertised to"

    async def _begin(self, hub_id: ResourceId, peering: str, options: Json) -> Any:
        connections = await self._connections(hub_id)
        return await connections.begin_list_advertised_routes(hub_id.group, hub_id.name, peering, **options)


def _routes(body: object) -> tuple[LearnedRoute, ...]:
    """Rows of both roles; a role may be null, and which one is which instance only `localAddress` says (azure-facts)."""
    if not isinstance(body, dict):
        raise Unavailable(f"routes of a peer were answered as {type(body).__name__}")
    rows = [row for role in sorted(body) for row in body[role] or () if isinstance(body[role], list)]
    try:
        return tuple(map(_route, rows))
    except (KeyError, TypeError, ValueError, AddressValueError, NetmaskValueError) as error:
        raise Unavailable(f"a learned route cannot be read: {error}") from error


def _route(row: Json) -> LearnedRoute:
    return LearnedRoute(
        instance=IPv4Address(row["localAddress"]),
        network=IPv4Network(row["network"]),
        next_hop=IPv4Address(row["nextHop"]),
        as_path=tuple(int(asn) for asn in str(row.get("asPath") or "").split("-") if asn),
        source_peer=IPv4Address(row["sourcePeer"]),
    )
