"""What every mechanism under test is to the lab: ours and those that users have today.

A new one is one class; `__main__` lists them.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from lab.packets.lab import Lab, Traffic
from tools.processes import ToolError


class Mechanism(Protocol):
    """One mechanism in a world of its own.

    `name` is unique; `title` stands in the table. `faults` are the runs it takes part in by default, `once` those
    of them that are played in the first round only. `period` is the
    longest of its timers in seconds: a fault strikes at a random moment within one. `tried_by_loss`: whether it decides
    by something that lost packets could mislead, so that its false failovers are worth counting.
    """

    name: str
    title: str
    faults: tuple[str, ...]
    once: tuple[str, ...]
    period: float
    tried_by_loss: bool

    async def set_up(self, lab: Lab) -> None:
        """Starts everything, until packets can flow. Raises ToolError."""

    def holder(self) -> str | None:
        """The node that it takes for the holder; None where it keeps no such thing, and the packets alone can show it."""

    def start_control(self, node: str) -> None:
        """Starts what controls an NVA: its daemon, its agent. Its data path is the world's to start."""

    async def order(self, holder: str) -> None:
        """Orders a planned move away from `holder`. Raises ToolError."""

    async def cool(self) -> None:
        """Starts whatever decides elsewhere anew, so that the next fault meets it cold."""

    async def heal(self) -> None:
        """Waits until all is as it was before the fault, which is undone. Raises ToolError."""

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        """What it knows itself about the failover that began at `struck` (monotonic): phases, proofs, violations."""

    async def tear_down(self) -> None:
        """What it wants to say goodbye to; the world ends its processes anyway."""


class Plain:
    """What most baselines have in common: nothing to say beyond the packets."""

    once: tuple[str, ...] = ()
    tried_by_loss = False

    def start_control(self, node: str) -> None:
        return

    async def order(self, holder: str) -> None:
        raise ToolError("it takes no orders")

    async def cool(self) -> None:
        return

    def holder(self) -> str | None:
        return None

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        return {}

    async def tear_down(self) -> None:
        return
