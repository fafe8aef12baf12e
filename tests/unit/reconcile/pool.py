"""A backend pool for tests of fences and lifts: what ARM shows of it, and where packets go."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from function_app.domain.base.errors import HopkeeperError, Superseded
from function_app.domain.service.observation import AdminState, FenceProof
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.act.fencing import fence, lift
from function_app.reconcile.ports import BalancerWrite, PoolView, Ports
from tests.builders import NOW, topology
from tests.fakes import FakeClock, FakeWorld, make_ports

NONE, DOWN, UP = AdminState.NONE, AdminState.DOWN, AdminState.UP
TOPOLOGY = topology()
A = TOPOLOGY.speaker("nva-a")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Pool:
    """One member's adminState: as ARM shows it at once, and `propagation` later where packets go.

    `calls` has the requests, without polls of health (`polled`); a fault is an attribute. `says` is what the health action
    answers at a time since the start in place of the truth: a reason, None, or an error to raise.
    """

    def __init__(self, clock: FakeClock, state: AdminState = NONE) -> None:
        self.clock = clock
        self.shown = self.met = state
        self.listed = True
        self.version = 1
        self.propagation = seconds(2)
        self.on_their_way: list[tuple[timedelta, AdminState]] = []
        self.calls: list[str] = []
        self.polled: list[float] = []
        self.keeps_etag_of_noops = False
        self.ignores_bumps = False
        self.look_takes = seconds(0)
        self.unprovable: list[str | None] = []
        self.late: list[AdminState | None] = []
        """What the next looks show in place of what is there: the pool as it was before."""
        self.fails: dict[str, HopkeeperError] = {}
        self.says: Callable[[float], str | HopkeeperError | None] | None = None
        self.after_write: Callable[[], None] = lambda: None

    @property
    def since(self) -> timedelta:
        return self.clock.at - NOW

    @property
    def packets_meet(self) -> AdminState:
        """The newest write that has arrived; one that a newer write overtook never does."""
        for number, (arrives, state) in reversed(list(enumerate(self.on_their_way))):
            if arrives <= self.since:
                self.met, self.on_their_way = state, self.on_their_way[number + 1 :]
                break
        return self.met

    def write(self, state: AdminState) -> None:
        """A write by whomever."""
        self.version += not (state is self.shown and self.keeps_etag_of_noops)
        self.shown = state
        self.on_their_way.append((self.since + self.propagation, state))

    def view(self) -> PoolView:
        shown = self.shown if self.listed else None
        shown = self.late.pop(0) if self.late else shown
        return PoolView(f"etag-{self.version}", shown, self.unprovable.pop(0) if self.unprovable else None)

    def called(self, call: str) -> None:
        self.calls.append(call)
        if (error := self.fails.get(call.split()[0])) is not None:
            raise error

    async def look(self, service: Service, speaker: Speaker) -> PoolView:
        self.called("look")
        self.clock.at += self.look_takes
        return self.view()

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        if etag != f"etag-{self.version}":
            raise Superseded("412 PreconditionFailed")
        self.called(f"set {state} {etag}")
        self.write(state)
        self.after_write()
        return self.view()

    async def bump(self, service: Service, etag: str) -> None:
        self.called(f"bump {etag}")
        self.version += not self.ignores_bumps

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        self.polled.append(self.since.total_seconds())
        said = self.says(self.polled[-1]) if self.says else self.truth()
        if isinstance(said, HopkeeperError):
            raise said
        return said

    def truth(self) -> str | None:
        if not self.listed:
            return None
        return "Down_Admin" if self.packets_meet is DOWN else "Down_Probe_HttpStatusCodeError"


class Scene:
    """A pool behind the ports; `recheck` is counted among the pool's calls."""

    def __init__(self, state: AdminState = NONE) -> None:
        self.clock = FakeClock()
        self.pool = Pool(self.clock, state)
        self.ports: Ports = replace(make_ports(FakeWorld(TOPOLOGY), clock=self.clock), admin_states=self.pool)
        self.answers: list[bool] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def recheck(self) -> bool:
        self.pool.calls.append("recheck")
        if self.meanwhile:
            await self.meanwhile()
        return self.answers.pop(0) if self.answers else True

    def request(self, *, epoch: int = 7, settle: float = 30, timeout: float = 60, **variant: bool) -> BalancerWrite:
        service = TOPOLOGY.services[0]
        return BalancerWrite(service, A, epoch, self.recheck, seconds(settle), seconds(timeout), **variant)

    async def fence(self, **facts: Any) -> FenceProof:
        return await fence(self.ports, self.request(**facts))

    async def lift(self, **facts: Any) -> None:
        await lift(self.ports, self.request(**facts))

    @property
    def sets(self) -> list[str]:
        return [call for call in self.pool.calls if call.startswith("set")]

    @property
    def passed(self) -> float:
        return self.pool.since.total_seconds()


def lifted_but_not_there_yet(after: float = 10) -> Scene:
    """ARM shows None, and packets meet the old Down for a while."""
    scene = Scene(DOWN)
    scene.pool.propagation = seconds(after)
    scene.pool.write(NONE)
    scene.pool.propagation = seconds(5)
    return scene
