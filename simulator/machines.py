"""Virtual machines that are stopped, deallocated, started and restarted, and what becomes of their BGP and their probes.

A machine that is off speaks no BGP and answers no probe: its sessions end at once, as a guest that shuts down closes them,
and a load balancer finds it down after as many probes as it takes. One that is on again answers probes as it did before;
its sessions come back when its speaker opens them. How long a verb takes is not from a recording; the words of the states
are those of "States and billing status of Azure Virtual Machines".
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from simulator.alerts import iso
from simulator.resources import Json, key_of
from simulator.state import Operation, OperationKind, OperationStatus, State

MACHINE = "Microsoft.Compute/virtualMachines"
RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Verb:
    """`meanwhile` and `then` are power states. `interrupts`: a machine that runs is off meanwhile."""

    meanwhile: str
    then: str
    waits: tuple[float, ...]
    interrupts: bool = True


VERBS = {
    "deallocate": Verb("deallocating", "deallocated", (10.0, 30.0)),
    "poweroff": Verb("stopping", "stopped", (10.0, 10.0)),
    "start": Verb("starting", RUNNING, (10.0, 10.0), interrupts=False),
    "restart": Verb("starting", RUNNING, (10.0, 20.0)),
}


class Machines:
    def __init__(self, state: State, off: Callable[[IPv4Address], None], on: Callable[[IPv4Address], None]) -> None:
        """`off` and `on` are called with each address of a machine that stops or starts to run."""
        self._state = state
        self._off = off
        self._on = on
        self._power: dict[str, str] = {}

    def power(self, machine: Json) -> str:
        return self._power.get(key_of(machine["id"]), RUNNING)

    def begin(self, machine: Json, verb: Verb) -> Operation:
        """Carry a verb out on a machine. A start of one that runs changes nothing."""
        key = key_of(machine["id"])
        was_running = self.power(machine) == RUNNING
        if was_running and verb.interrupts:
            self._switch(machine, self._off)
        if verb.interrupts or not was_running:
            self._power[key] = verb.meanwhile

        def finish(operation: Operation) -> None:
            if operation.status is not OperationStatus.SUCCEEDED:
                return
            changed = self._power.get(key, RUNNING) != verb.then
            self._power[key] = verb.then
            if verb.then == RUNNING and changed:
                self._switch(machine, self._on)

        return self._state.begin(OperationKind.ACTION, machine, verb.waits, finish)

    def forget(self, machine: Json) -> None:
        """It is deleted, and with it what it did; its network interfaces stay."""
        self._switch(machine, self._off)
        self._power.pop(key_of(machine["id"]), None)

    def _switch(self, machine: Json, act: Callable[[IPv4Address], None]) -> None:
        for address in self.addresses(machine):
            act(address)

    def addresses(self, machine: Json) -> list[IPv4Address]:
        """Of all its network interfaces."""
        found = []
        for held in (machine["properties"].get("networkProfile") or {}).get("networkInterfaces") or ():
            interface = self._state.resources.get(held["id"])
            for its in interface["properties"].get("ipConfigurations") or () if interface is not None else ():
                address = (its.get("properties") or {}).get("privateIPAddress")
                if address:
                    found.append(IPv4Address(address))
        return found

    def machine_of(self, interface: Json) -> Json | None:
        """The machine that a network interface is of, if it is of one."""
        wanted = key_of(interface["id"])
        for machine in self._state.resources.of_type(MACHINE):
            profile = machine["properties"].get("networkProfile") or {}
            if any(key_of(held["id"]) == wanted for held in profile.get("networkInterfaces") or ()):
                return machine
        return None

    def view(self, machine: Json) -> Json:
        """Its instance view."""
        power, at = self.power(machine), iso(self._state.now())
        return {
            "computerName": machine["name"],
            "osName": "linux",
            "hyperVGeneration": "V2",
            "statuses": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Provisioning succeeded",
                    "time": at,
                },
                {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"},
            ],
        }
