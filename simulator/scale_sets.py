"""Instances of virtual machine scale sets (uniform orchestration): a machine and its network interface each.

They come and go at once; Deleting is a state that a caller sets. ARM types virtualMachineScaleSets/virtualMachines and
.../networkInterfaces. Not here: capacity, images, whatever Compute does besides.
"""

from simulator.resources import Json, ResourcePath, key_of, parse_path
from simulator.state import State

SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
MACHINE = f"{SCALE_SET}/virtualMachines"
INTERFACE = f"{MACHINE}/networkInterfaces"


class ScaleSets:
    def __init__(self, state: State) -> None:
        self._state = state

    def interfaces(self, scale_set: ResourcePath) -> list[Json]:
        """Of every instance, as the set's own collection lists them."""
        below = key_of(scale_set.id) + "/"
        return [doc for doc in self._state.resources.of_type(INTERFACE) if key_of(doc["id"]).startswith(below)]

    def add(self, scale_set_id: str, instance: str, address: str) -> None:
        """A new instance with this address; its machine's creation is published."""
        path = parse_path(scale_set_id)
        if path is None or path.type.lower() != SCALE_SET.lower() or not path.is_resource:
            raise ValueError(f"not the id of a scale set: {scale_set_id!r}")
        machine_id = f"{path.id}/virtualMachines/{instance}"
        interface_id = f"{machine_id}/networkInterfaces/nic"
        machine: Json = {
            "name": f"{path.names[-1]}_{instance}",
            "id": machine_id,
            "type": MACHINE,
            "instanceId": instance,
            "properties": {
                "provisioningState": "Succeeded",
                "networkProfile": {"networkInterfaces": [{"id": interface_id}]},
            },
        }
        self._state.resources.put(machine)
        self._state.resources.put(_interface(machine_id, interface_id, address))
        self._state.publish("Write", machine)

    def leave(self, scale_set_id: str, instance: str) -> None:
        """The instance begins to be deleted: it is still listed, and Deleting."""
        for document in self._of(scale_set_id, instance):
            document["properties"]["provisioningState"] = "Deleting"

    def remove(self, scale_set_id: str, instance: str) -> None:
        """The instance is gone; its machine's deletion is published."""
        for document in self._of(scale_set_id, instance):
            self._state.resources.remove(document["id"])
            if document["type"] == MACHINE:
                self._state.publish("Delete", document)

    def _of(self, scale_set_id: str, instance: str) -> list[Json]:
        machine = key_of(f"{scale_set_id}/virtualMachines/{instance}")
        return [
            doc
            for doc in self._state.resources.all()
            if key_of(doc["id"]) == machine or key_of(doc["id"]).startswith(f"{machine}/")
        ]


def _interface(machine_id: str, own: str, address: str) -> Json:
    return {
        "name": "nic",
        "id": own,
        "type": INTERFACE,
        "properties": {
            "provisioningState": "Succeeded",
            "primary": True,
            "enableIPForwarding": True,
            "virtualMachine": {"id": machine_id},
            "ipConfigurations": [
                {
                    "name": "ipconfig1",
                    "id": f"{own}/ipConfigurations/ipconfig1",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "privateIPAddress": address,
                        "privateIPAllocationMethod": "Dynamic",
                        "primary": True,
                        "privateIPAddressVersion": "IPv4",
                    },
                }
            ],
        },
    }
