"""Virtual machine scale sets, and the instances of uniform ones: a machine and its network interface each.

The interfaces of a flexible set cannot be listed: 404, as of a set that is not there (Azure/azure-cli#28258, #27341).
Instances come and go at once; Deleting is a state that a caller sets. ARM types virtualMachineScaleSets/virtualMachines
and .../networkInterfaces. Not here: capacity, images, whatever Compute does besides.
"""

from simulator.resources import Json, ResourcePath, key_of, parse_path
from simulator.state import ArmError, State

SCALE_SET = "Microsoft.Compute/virtualMachineScaleSets"
MACHINE = f"{SCALE_SET}/virtualMachines"
INTERFACE = f"{MACHINE}/networkInterfaces"
UNIFORM, FLEXIBLE = "Uniform", "Flexible"


class ScaleSets:
    def __init__(self, state: State) -> None:
        self._state = state

    def interfaces(self, scale_set: ResourcePath) -> list[Json]:
        """Of every instance, as the set's own collection lists them. Raises ArmError for one that is not uniform."""
        document = self._state.resources.get(scale_set.id)
        if document is None or document["properties"].get("orchestrationMode") != UNIFORM:
            raise ArmError(404, "NotFound", f"Resource {scale_set.id} not found.")
        below = key_of(scale_set.id) + "/"
        return [doc for doc in self._state.resources.of_type(INTERFACE) if key_of(doc["id"]).startswith(below)]

    def make(self, scale_set_id: str, orchestration: str = UNIFORM) -> ResourcePath:
        """A set without instances, or the one that is there."""
        path = parse_path(scale_set_id)
        if path is None or path.type.lower() != SCALE_SET.lower() or not path.is_resource:
            raise ValueError(f"not the id of a scale set: {scale_set_id!r}")
        if self._state.resources.get(path.id) is None:
            facts = {"provisioningState": "Succeeded", "orchestrationMode": orchestration}
            self._state.resources.put({"name": path.names[-1], "id": path.id, "type": SCALE_SET, "properties": facts})
        return path

    def add(self, scale_set_id: str, instance: str, address: str) -> None:
        """A new instance with this address, in a uniform set that is made if need be; its creation is published."""
        path = self.make(scale_set_id)
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
