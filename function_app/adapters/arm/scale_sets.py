"""Instances of scale sets over ARM: their primary network interfaces, as Microsoft.Network lists them for the set.

Uniform orchestration only: of a flexible set ARM answers 404, as of one that is not there (Azure/azure-cli#28258).
"""

from azure.core.exceptions import ResourceNotFoundError

from function_app.adapters.arm.client import LATER, Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, ipv4, whole
from function_app.domain.base.errors import Unavailable
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.topology.model import ScaleSet

KIND = "Microsoft.Compute/virtualMachineScaleSets"
UNLISTED = (
    "ARM lists no instances (404): either the set is of flexible orchestration, whose instances cannot be listed "
    "(name its machines as speakers), or there is no such set"
)


class ScaleSetsOverArm:
    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        """Every page of the set's interfaces, fresh and whole; one that is still being made is no instance. Raises
        Unavailable, also where one of them cannot be read, and BadInput."""
        own = ResourceId.parse(scale_set.id, KIND)
        async with calling(f"listing the instances of scale set {scale_set.name}", self._azure.cloud.timeout):
            network = await self._azure.network(own.subscription)
            listing = network.network_interfaces.list_virtual_machine_scale_set_network_interfaces
            try:
                listed = await whole(listing, own.group, own.name)
            except ResourceNotFoundError as error:
                raise Unavailable(f"{scale_set.name}: {UNLISTED}", LATER) from error
            return tuple(instance for item in listed if (instance := _instance(item)) is not None)


def _instance(item: Json) -> Instance | None:
    """None for a second interface of an instance, and for one that is still being made.

    Raises ValueError for any other that does not tell whose it is and where: were it left out, an instance that is
    there would be taken for gone, and its peering removed (ADR 15).
    """
    facts = facts_of(item)
    if facts.get("primary") is False:
        return None
    machine = str((facts.get("virtualMachine") or {}).get("id") or "")
    addresses = [facts_of(c) for c in facts.get("ipConfigurations") or ()]
    address = next(
        (a for c in addresses if c.get("primary") is not False and (a := ipv4(c.get("privateIPAddress")))), None
    )
    state = str(facts.get("provisioningState")).casefold()
    if not machine or address is None:
        if state == "creating":
            return None
        raise ValueError(f"one tells no machine or no IPv4 address, and is {state}: {item.get('id') or item}")
    return Instance(machine.rpartition("/")[2].casefold(), address, leaving=state == "deleting")
