"""Where a network interface sends packets (ARM `effectiveRouteTable`): a long-running operation, asked in one pass and
fetched in another (`arm_tokens`). The interface's machine must be running. Which routes there should be is
`domain/effective_routes`' business.
"""

from functools import partial
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from function_app.adapters import arm_tokens
from function_app.adapters.azure import Azure, Json, ResourceId, calling
from function_app.domain.effective_routes import EffectiveRoute
from function_app.domain.errors import Unavailable

KIND = "Microsoft.Network/networkInterfaces"


class EffectiveRoutesOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def ask(self, interface: str) -> str:
        """Begins the operation (one write token) and gives an opaque token. Raises Unavailable, Superseded, BadInput."""
        nic = ResourceId.parse(interface, KIND)
        async with calling(f"asking for the effective routes of {nic.name}", self._azure.cloud.timeout):
            return arm_tokens.kept(interface, "", await self._begin(nic, {}))

    async def fetch(self, token: str) -> tuple[EffectiveRoute, ...] | None:
        """One route for each prefix of the table, None while there is no table yet; IPv6 prefixes are left out.

        Raises Unavailable (keep the token and come back) or BadInput (ask again).
        """
        held = arm_tokens.opened(token, self._azure.cloud.endpoint)
        nic = ResourceId.parse(held.resource, KIND)
        if held.done:
            return _routes(arm_tokens.at_once(held))
        async with calling(f"fetching the effective routes of {nic.name}", self._azure.cloud.timeout):
            body = await arm_tokens.answer(held, partial(self._begin, nic))
        return None if body is None else _routes(body)

    async def _begin(self, nic: ResourceId, options: Json) -> Any:
        interfaces = (await self._azure.network(nic.subscription)).network_interfaces
        return await interfaces.begin_get_effective_route_table(nic.group, nic.name, **options)


def _routes(body: object) -> tuple[EffectiveRoute, ...]:
    if not isinstance(body, dict):
        raise Unavailable(f"effective routes were answered as {type(body).__name__}")
    try:
        return tuple(
            EffectiveRoute(
                network=IPv4Network(prefix),
                source=str(row.get("source")),
                next_hop_type=str(row.get("nextHopType")),
                next_hops=tuple(map(IPv4Address, row.get("nextHopIpAddress") or ())),
                active=row.get("state") == "Active",
            )
            for row in body.get("value") or ()
            for prefix in row.get("addressPrefix") or ()
            if ":" not in prefix
        )
    except (TypeError, ValueError, AttributeError, AddressValueError, NetmaskValueError) as error:
        raise Unavailable(f"an effective route cannot be read: {error}") from error
