"""Deletion of whatever has no other part of the simulator that deletes it, and what ARM refuses to delete.

That a resource in use is refused, and in which words, is public knowledge (aka.ms/deletenic, /deletesubnet, /deletepublicip);
how long a deletion takes is not from a recording, but for the ten seconds that ARM names first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.kinds import GATEWAY, NETWORK
from simulator.machines import MACHINE
from simulator.network_peerings import NETWORK_PEERING
from simulator.resources import Resources, key_of
from simulator.state import ArmError, Operation, OperationKind, OperationStatus
from simulator.world import World

WAITS = (10.0,)
DELETABLE = frozenset(
    kind.lower()
    for kind in (
        f"{NETWORK}/loadBalancers",
        f"{NETWORK}/networkInterfaces",
        f"{NETWORK}/networkSecurityGroups",
        f"{NETWORK}/publicIPAddresses",
        f"{NETWORK}/routeTables",
        f"{NETWORK}/virtualNetworks",
        GATEWAY,
        NETWORK_PEERING,
        MACHINE,
    )
)


@dataclass(frozen=True, slots=True)
class Use:
    """Who must not refer to a resource that is deleted, and how ARM says so."""

    code: str
    message: str
    by: frozenset[str]


_CONFIGURED = frozenset(
    kind.lower()
    for kind in (
        f"{NETWORK}/networkInterfaces",
        f"{NETWORK}/loadBalancers",
        f"{NETWORK}/virtualHubs/ipConfigurations",
        GATEWAY,
    )
)
USES = {
    "microsoft.network/networkinterfaces": Use(
        "NicInUse",
        "Network Interface {id} is used by existing resource {user}. In order to delete the network interface, it must be "
        "dissociated from the resource. To learn more, see aka.ms/deletenic.",
        frozenset({MACHINE.lower()}),
    ),
    "microsoft.network/virtualnetworks": Use(
        "InUseSubnetCannotBeDeleted",
        "Subnet of {name} is in use by {user} and cannot be deleted. In order to delete the subnet, delete all the "
        "resources within the subnet. See aka.ms/deletesubnet.",
        _CONFIGURED,
    ),
    "microsoft.network/publicipaddresses": Use(
        "PublicIPAddressCannotBeDeleted",
        "Public IP address {id} can not be deleted since it is still allocated to resource {user}. In order to delete the "
        "public IP, disassociate/detach the Public IP address from the resource. To learn how to do this, see "
        "aka.ms/deletepublicip.",
        _CONFIGURED,
    ),
}
USES["microsoft.network/virtualnetworks/subnets"] = USES["microsoft.network/virtualnetworks"]


def delete(world: World, resource_id: str) -> Operation | None:
    """Start to delete a resource; None where there is none. Raises ArmError where it is in use."""
    known = world.state.resources.get(resource_id)
    if known is None:
        return None
    refuse_in_use(world.state.resources, known["type"], resource_id)
    known["properties"]["provisioningState"] = "Deleting"

    def finish(operation: Operation) -> None:
        if operation.status is not OperationStatus.SUCCEEDED:
            known["properties"]["provisioningState"] = "Failed"
            return
        world.remove(resource_id)
        if known["type"].lower() == NETWORK_PEERING.lower():
            world.network_peerings.disconnect(known)

    return world.state.begin(OperationKind.DELETE, known, WAITS, finish)


def refuse_in_use(resources: Resources, resource_type: str, resource_id: str) -> None:
    """Raises ArmError where another resource refers to this one, or to what is in it."""
    use = USES.get(resource_type.lower())
    if use is None:
        return
    here = key_of(resource_id)
    for document in resources.all():
        if str(document.get("type", "")).lower() not in use.by:
            continue
        for reference in _references(document["properties"]):
            if key_of(reference) == here or key_of(reference).startswith(f"{here}/"):
                words = use.message.format(id=resource_id, name=resource_id.rpartition("/")[2], user=document["id"])
                raise ArmError(400, use.code, words)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "id" and isinstance(one, str):
                yield one
            else:
                yield from _references(one)
