"""Instances of scale sets over ARM: their primary network interfaces, as Microsoft.Network lists them for the set.

Uniform orchestration only: of a flexible set ARM answers 404, as of one that is not there (Azure/azure-cli#28258).
"""

from ipaddress import IPv4Address

from azure.core.exceptions import ResourceNotFoundError

from function_app.adapters.arm.client import LATER, Azure, ResourceId, calling
from function_app.adapters.arm.document import Json, facts_of, ipv4, items_of, last_of, whole
from function_app.domain.base.errors import Missing
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
                raise Missing(f"{scale_set.name}: {UNLISTED}", LATER) from error
            return tuple(instance for item in listed if (instance := _instance(item)) is not None)


def _instance(item: Json) -> Instance | None:
    """None for a second interface of an instance, and for one that is still being created.

    Raises ValueError for any other without a machine or an address: were it left out, an instance that exists would be
    taken for gone, and its peering removed (ADR 15).
    """
    facts = facts_of(item)
    if facts.get("primary") is False:
        return None
    machine, address = last_of(facts.get("virtualMachine")), _address(facts)
    state = str(facts.get("provisioningState")).casefold()
    if machine and address is not None:
        return Instance(machine.casefold(), address, leaving=state == "deleting")
    if state == "creating":
        return None
    raise ValueError(f"an interface names no machine or no IPv4 address, and is {state}: {item.get('id') or item}")


def _address(facts: Json) -> IPv4Address | None:
    """The first IPv4 address of the interface's configurations, those that are not primary left out."""
    for item in items_of(facts, "ipConfigurations"):
        configuration = facts_of(item)
        address = ipv4(configuration.get("privateIPAddress"))
        if address is not None and configuration.get("primary") is not False:
            return address
    return None
