"""Where a network interface sends packets (ARM `effectiveRouteTable`): a long-running operation, started in one pass and
fetched in a later one (`tokens`). The interface's machine must be running. Which routes there should be is decided in
`domain.routes.effective`.
"""

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import Any

from function_app.adapters.arm import tokens as arm_tokens
from function_app.adapters.arm.client import Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, items_of
from function_app.adapters.arm.rows import named, networks, read
from function_app.domain.base.errors import Unusable
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.reading import Unread

KIND = "Microsoft.Network/networkInterfaces"
ACTIVE = "Active"


class EffectiveRoutesOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def ask(self, interface: str) -> str:
        """Starts the operation (one write of ARM's budget), gives an opaque token. Raises Unavailable, Superseded, BadInput."""
        nic = ResourceId.parse(interface, KIND)
        async with calling(f"requesting the effective routes of {nic.name}", self._azure.cloud.timeout):
            return arm_tokens.token_of(interface, "", await self._begin(nic, {}))

    async def fetch(self, token: str) -> tuple[EffectiveRoute | Unread, ...] | None:
        """One route for each prefix of the table, None while there is no table yet; IPv6 prefixes are left out.

        Raises Unavailable (keep the token, fetch again later), BadInput (start again) or Unusable (start again, not soon).
        """
        operation = arm_tokens.operation_of(token, self._azure.cloud.endpoint)
        nic = ResourceId.parse(operation.resource, KIND)
        if operation.done:
            return _routes(arm_tokens.immediate_answer_of(operation))
        async with calling(f"fetching the effective routes of {nic.name}", self._azure.cloud.timeout):
            body = await arm_tokens.answer_of(operation, partial(self._begin, nic))
        return None if body is None else _routes(body)

    async def _begin(self, nic: ResourceId, options: Json) -> Any:
        interfaces = (await self._azure.network(nic.subscription)).network_interfaces
        return await interfaces.begin_get_effective_route_table(nic.group, nic.name, **options)


def _routes(body: object) -> tuple[EffectiveRoute | Unread, ...]:
    if not isinstance(body, dict) or not isinstance(body.get("value"), list | None):
        raise Unusable("it is no list of effective routes")
    return read(items_of(body, "value"), _row)


def _row(row: Json) -> Iterator[EffectiveRoute | Unread]:
    """Each of its prefixes; REST: every key is optional. A missing state is not Invalid."""
    hops = [ip_address(str(hop)) for hop in _list(row, "nextHopIpAddress")]
    for prefix in _list(row, "addressPrefix"):
        try:
            found = networks(prefix)
        except ValueError as error:
            yield named(error)
            continue
        for network in found:
            yield EffectiveRoute(
                network=network,
                source=str(row.get("source") or ""),
                next_hop_type=str(row.get("nextHopType") or ""),
                next_hops=tuple(hop for hop in hops if isinstance(hop, IPv4Address)),
                active=(row.get("state") or ACTIVE) == ACTIVE,
            )


def _list(row: Json, name: str) -> list[object]:
    listed = row.get(name)
    if not isinstance(listed, list | None):
        raise ValueError(f"{name} is no list")
    return [each for each in listed or () if each is not None]
