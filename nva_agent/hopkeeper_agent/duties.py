"""The agent's duties: the role and the advertisements of every service, kept in memory, on disk and in effect.

It carries out what `role` decides, restrictive things first: a fence is in effect before it is durable, a promotion and
an advertisement are durable before they are in effect. It knows no HTTP, no signature and no gossip.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from hopkeeper_agent.role import (
    Accepted,
    Advertise,
    Advertisement,
    Command,
    Fence,
    Promote,
    Refused,
    Role,
    ServiceState,
    Status,
    TellOutward,
    Toward,
    advertise,
    fence,
    outranked,
    outward,
    promote,
    tell_outward,
)
from hopkeeper_agent.speakers import SpeakerError

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where states become durable."""

    def save(self, states: Mapping[str, ServiceState]) -> None:
        """Return once the states are durable; raises OSError."""


class Announcer(Protocol):
    """What a speaker does for us."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to those neighbours; raises SpeakerError if it is not certain that this happened."""


class Duties:
    """Obeys commands. All methods belong to one event loop."""

    def __init__(
        self,
        store: Store,
        speaker: Announcer,
        boot_id: str,
        states: Mapping[str, ServiceState],
        *,
        durable: bool,
        is_witness: bool = False,
        outward_from: IPv4Address | None = None,
    ) -> None:
        """`states` are what start-up found; `durable` says whether the store holds exactly these already.

        A witness watches its peers and takes no role. `outward_from` is this appliance as on-premises neighbours reach
        it; None where the speaker has none of these.
        """
        self.boot_id = boot_id
        self._is_witness = is_witness
        self._outward_from = outward_from
        self._store = store
        self._speaker = speaker
        self._states: dict[str, ServiceState] = dict(states)
        self._durable: dict[str, ServiceState] | None = dict(states) if durable else None
        self._heard: dict[str, int] = {}
        self._disk = asyncio.Lock()
        self._voice = asyncio.Lock()
        self._outward_voice = asyncio.Lock()
        self._saving: set[asyncio.Task[str | None]] = set()
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """What is in effect now, by service."""
        return self._states

    @property
    def heard(self) -> Mapping[str, int]:
        """The highest epoch, by service, that authentic peers have told of since the start."""
        return self._heard

    def epoch(self, service: str) -> int:
        """The epoch this agent stands at in a service; 0 if it was never told of it."""
        return self._state(service).turn.epoch

    def is_durable(self, service: str) -> bool:
        """Whether the store holds the turn and the role that are in effect: only then has a FENCE been acknowledged."""
        if self._durable is None:
            return False
        kept, state = self._durable.get(service, ServiceState()), self._state(service)
        return (kept.turn, kept.role) == (state.turn, state.role)

    def advertisements(self) -> list[Advertisement]:
        """What the speaker should announce for all services together."""
        return [item for _, state in sorted(self._states.items()) for item in _announced(state)]

    def outward(self, service: str) -> tuple[Advertisement, ...]:
        """What on-premises neighbours should hear of a service, by the role that it has now."""
        if self._outward_from is None:
            return ()
        # What goes to Route Servers goes nowhere else: an ADVERTISE is never refused on account of what is told outward.
        inward = {item.prefix for state in self._states.values() for item in _announced(state)}
        return tuple(item for item in outward(self._state(service), self._outward_from) if item.prefix not in inward)

    async def tell_outward(self) -> None:
        """Tell on-premises neighbours what they should hear now. What fails here the speaker makes up for by itself."""
        if self._outward_from is None:
            return
        async with self._outward_voice:
            told = [item for service in sorted(self._states) for item in self.outward(service)]
            with contextlib.suppress(SpeakerError):
                await self._speaker.announce(told, Toward.OUTWARD)

    async def obey(self, command: Command) -> str | None:
        """Carry the command out. Return None when it was accepted, else why it was refused."""
        match command:
            case Status():
                return None
            case Fence():
                return await self._fence(command)
            case Promote() | Advertise() | TellOutward() if self._is_witness:
                return "a witness serves and announces nothing"
            case Promote():
                return await self._promote(command)
            case Advertise():
                return await self._advertise(command)
            case TellOutward():
                return await self._take_outward(command)

    def hear(self, service: str, epoch: int) -> None:
        """An authentic peer proves that `service` has come to `epoch` without us: step down if we serve below it."""
        self._heard[service] = max(epoch, self._heard.get(service, 0))
        state = self._state(service)
        reduced = outranked(state, epoch)
        if reduced is not state:
            log.warning("stepped down: a higher epoch was heard", extra={"service": service, "epoch": epoch})
            self._tell_outward_soon()
            self._states[service] = reduced
            self._save_soon()

    def make_durable_soon(self) -> None:
        """Bring the store up to date in the background, as after a start with a file that was not believed."""
        self._save_soon()

    async def close(self) -> None:
        """Wait for writes under way, and for nobody on-premises."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await asyncio.gather(*self._saving)

    async def _fence(self, command: Fence) -> str | None:
        verdict = fence(command, self._state(command.service))
        if isinstance(verdict, Refused):
            return verdict.reason
        self._tell_outward_soon()
        # In effect before anything can fail or wait: the probe says 503 from here on.
        self._states[command.service] = verdict.state
        return await self._save()

    async def _promote(self, command: Promote) -> str | None:
        async with self._disk:
            state = self._state(command.service)
            verdict = promote(command, state, self.boot_id, self._heard.get(command.service, 0))
            if isinstance(verdict, Refused):
                return verdict.reason
            failure = await self._write({**self._states, command.service: verdict.state})
            if failure is not None:
                return failure
            # The loop went on while the disk wrote: a fence or a newer peer may have come, and they count first.
            again = promote(command, self._state(command.service), self.boot_id, self._heard.get(command.service, 0))
            self._tell_outward_soon()
            if isinstance(again, Accepted):
                self._states[command.service] = again.state
                return None
            self._states[command.service] = self._overtaken(command)
            await self._write(self._states)
            return again.reason

    async def _advertise(self, command: Advertise) -> str | None:
        async with self._voice:
            async with self._disk:
                taken = self._taken(command.service)
                verdict = advertise(command, self._state(command.service), taken)
                if isinstance(verdict, Refused):
                    return verdict.reason
                failure = await self._write({**self._states, command.service: verdict.state})
                if failure is not None:
                    return failure
                # Only advertisements are taken over: the role may have changed while the disk wrote.
                current = self._state(command.service)
                self._states[command.service] = replace(current, advertised=verdict.state.advertised)
            if self._durable != self._states:
                self._save_soon()
            try:
                await self._speaker.announce(self.advertisements())
            except SpeakerError as error:
                return f"speaker: {error}"
            return None

    async def _take_outward(self, command: TellOutward) -> str | None:
        """Accepted once it is durable: nobody waits for what on-premises neighbours hear."""
        if self._outward_from is None and command.prefixes:
            return "no outward neighbour is configured"
        async with self._disk:
            verdict = tell_outward(command, self._state(command.service), self._spoken_for(command.service))
            if isinstance(verdict, Refused):
                return verdict.reason
            failure = await self._write({**self._states, command.service: verdict.state})
            if failure is not None:
                return failure
            current = self._state(command.service)
            self._states[command.service] = replace(current, outward=verdict.state.outward)
        if self._durable != self._states:
            self._save_soon()
        self._tell_outward_soon()
        return None

    def _tell_outward_soon(self) -> None:
        """In the loop's next turn, by the roles as they are then; a role never waits for it."""
        if any(state.outward is not None for state in self._states.values()):
            task = asyncio.get_running_loop().create_task(self.tell_outward())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def _overtaken(self, command: Promote) -> ServiceState:
        current = self._state(command.service)
        if current.turn >= command.turn:
            return current
        return replace(current, turn=command.turn, role=Role.STANDBY)

    def _state(self, service: str) -> ServiceState:
        return self._states.get(service, ServiceState())

    def _taken(self, service: str) -> dict[IPv4Network, str]:
        return {
            item.prefix: other
            for other, state in self._states.items()
            if other != service
            for item in _announced(state)
        }

    def _spoken_for(self, service: str) -> dict[IPv4Network, str]:
        """Which service a prefix is announced for, if not outward for this one."""
        outward_of_others = {
            prefix: other
            for other, state in self._states.items()
            if other != service and state.outward is not None
            for prefix in state.outward.prefixes
        }
        inward = {item.prefix: other for other, state in self._states.items() for item in _announced(state)}
        return outward_of_others | inward

    def _save_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._save())
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save(self) -> str | None:
        async with self._disk:
            if self._durable == self._states:
                return None
            return await self._write(self._states)

    async def _write(self, states: Mapping[str, ServiceState]) -> str | None:
        # In a thread: a slow disk must not keep the probe from answering. The caller holds the lock.
        snapshot = dict(states)
        try:
            await asyncio.to_thread(self._store.save, snapshot)
        except OSError as error:
            log.error("state cannot be made durable", extra={"error": str(error)})
            self._durable = None
            return "state cannot be made durable"
        self._durable = snapshot
        return None


def _announced(state: ServiceState) -> tuple[Advertisement, ...]:
    return () if state.advertised is None else state.advertised.advertisements
