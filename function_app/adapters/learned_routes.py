"""What the Route Server's instances learned from a peer: a long-running operation, asked in one pass, fetched in another.

The token that joins the two is stored in between and untrusted when it comes back: nothing is asked of a host other
than ARM's. Which routes there should be is `domain/routes`' business.
"""

import base64
import json
from dataclasses import asdict, dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.polling.base_polling import BadResponse, BadStatus

from function_app.adapters.azure import Azure, Json, ResourceId, calling
from function_app.adapters.route_server import KIND
from function_app.domain.errors import BadInput, Problem, Unavailable
from function_app.domain.observation import LearnedRoute
from function_app.domain.topology import RouteServer

TOKEN_MAX = 1 << 20  # characters; one has about 3,000, and more only if ARM answered with the routes at once
URL_HEADERS = ("location", "azure-asyncoperation", "operation-location")


@dataclass(frozen=True, slots=True)
class _Held:
    """What a token holds: the Route Server's id, the peering's name, the SDK's own token, and whether that has all."""

    server: str
    peering: str
    sdk: str
    done: bool


class LearnedRoutesOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def ask(self, server: RouteServer, peering: str) -> str:
        """Begins the operation (one write token) and gives an opaque token. Raises Unavailable or Superseded."""
        hub_id = ResourceId.parse(server.id, KIND)
        async with calling(f"asking for the routes learned from {peering} on {server.name}", self._azure.cloud.timeout):
            connections = (await self._azure.network(hub_id.subscription)).virtual_hub_bgp_connections
            poller = await connections.begin_list_learned_routes(hub_id.group, hub_id.name, peering)
            held = _Held(server.id, peering, poller.continuation_token(), poller.polling_method().finished())
        return base64.urlsafe_b64encode(json.dumps(asdict(held)).encode()).decode()

    async def fetch(self, token: str) -> tuple[LearnedRoute, ...] | None:
        """The routes of both instances, None while there are none yet; at most one look and one read.

        Raises Unavailable (keep the token and come back) or BadInput (the token is forged, broken, or the operation is
        gone: ask again).
        """
        held = _held(token)
        hub_id = ResourceId.parse(held.server, KIND)
        _refuse_foreign(held.sdk, self._azure.cloud.endpoint)
        if held.done:
            return _routes(_content(held.sdk))
        async with calling(f"fetching the routes learned from {held.peering}", self._azure.cloud.timeout):
            connections = (await self._azure.network(hub_id.subscription)).virtual_hub_bgp_connections
            return await self._looked_once(connections, hub_id, held)

    async def _looked_once(self, connections: Any, hub_id: ResourceId, held: _Held) -> tuple[LearnedRoute, ...] | None:
        answers: list[Any] = []
        options = {"continuation_token": held.sdk, "cls": _body, "raw_response_hook": answers.append}
        try:
            poller = await connections.begin_list_learned_routes(hub_id.group, hub_id.name, held.peering, **options)
            await poller.polling_method().update_status()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _bad("the SDK cannot take it up again") from error
        except (BadStatus, BadResponse) as error:  # neither an AzureError nor with the answer, which the hook has
            refused = HttpResponseError(response=answers[-1].http_response)
            if refused.status_code in (404, 410):
                raise _bad("ARM does not know the operation any more") from error
            raise refused from error
        if not poller.polling_method().finished():
            return None
        return _routes(await poller.result())


def _body(response: object, _model: object, _headers: object) -> object:
    """The answer as it came: the SDK's own model of it cannot hold the nulls that ARM puts in (azure-facts)."""
    return response.http_response.json()  # type: ignore[attr-defined]


def _held(token: str) -> _Held:
    try:
        held = json.loads(base64.urlsafe_b64decode(token)) if len(token) <= TOKEN_MAX else None
    except ValueError as error:
        raise _bad("it cannot be decoded") from error
    match held:
        case {"server": str(server), "peering": str(peering), "sdk": str(sdk), "done": bool(done)}:
            return _Held(server, peering, sdk, done)
    raise _bad("it does not hold server, peering, sdk and done")


def _refuse_foreign(token: str, endpoint: str) -> None:
    """Raises BadInput unless every URL in the SDK's token begins, letter for letter, with our ARM endpoint."""
    ours = f"{endpoint.rstrip('/')}/".casefold()
    for url in _urls(token):
        if not url.casefold().startswith(ours):
            raise _bad(f"it would ask {url[:80]!r}, which is not {endpoint}")


def _urls(token: str) -> list[str]:
    """The URLs that a poller made of this token may ask: of its request and of the headers that say where to poll."""
    data = _data(token)
    headers = {str(name).casefold(): str(value) for name, value in data["response"]["headers"].items()}
    return [str(data["request"]["url"]), *(headers[name] for name in URL_HEADERS if name in headers)]


def _content(token: str) -> object:
    """The answer itself, where ARM gave it at once. Raises BadInput."""
    try:
        return json.loads(base64.b64decode(_data(token)["response"]["content"]))
    except ValueError as error:
        raise _bad("the answer in it cannot be read") from error


def _data(token: str) -> Json:
    """What the SDK wrote into its token (base64 of JSON), with the parts that are used here. Raises BadInput."""
    try:
        data = json.loads(base64.b64decode(token))["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise _bad("what the SDK wrote into it cannot be read") from error
    match data:
        case {"request": {"url": str()}, "response": {"headers": dict(), "content": str()}}:
            return dict(data)
    raise _bad("what the SDK wrote into it is not what it writes")


def _routes(body: object) -> tuple[LearnedRoute, ...]:
    """Rows of both roles; a role may be null, and which one is which instance only `localAddress` says (azure-facts)."""
    if not isinstance(body, dict):
        raise Unavailable(f"learned routes were answered as {type(body).__name__}")
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


def _bad(why: str) -> BadInput:
    return BadInput((Problem("token", why),))
