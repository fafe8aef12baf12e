"""The agent's duties: the role and the advertisements of every service, in memory, on disk and in effect.

They carry out what `role` decides, restrictions first: a fence is in effect before it is durable; a promotion and an
advertisement are durable before they are in effect. HTTP, signatures and gossip are elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import Protocol

from hopkeeper_agent.role import (
    Accepted,
    Advertise,
    Advertisement,
    AdvertiseOutward,
    Command,
    Fence,
    Promote,
    Refused,
    Role,
    ServiceState,
    Status,
    Toward,
    advertise,
    advertise_outward,
    believed,
    fence,
    outranked,
    outward,
    promote,
)
from hopkeeper_agent.speakers import SpeakerError
from hopkeeper_agent.warrants import SERVICES_MAX

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where states become durable."""

    def save(self, states: Mapping[str, ServiceState]) -> None:
        """Return once the states are durable; raises OSError."""


class Announcer(Protocol):
    """The part of a speaker that the duties need."""

    async def announce(self, advertisements: Sequence[Advertisement], toward: Toward = Toward.ROUTE_SERVERS) -> None:
        """Replace everything announced to those neighbours; raises SpeakerError unless it is certain that this happened."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the duties begin with.

    `states` are those found at start-up; `is_durable`: the store already holds exactly these. A witness watches its peers
    and takes no role. `outward_from` is the next hop of what on-premises neighbours are sent; None if the speaker has no
    such neighbour.
    """

    boot_id: str
    states: Mapping[str, ServiceState]
    is_durable: bool
    is_witness: bool = False
    outward_from: IPv4Address | None = None


class Duties:
    """Carries out commands. All methods belong to one event loop."""

    def __init__(self, store: Store, speaker: Announcer, start: Start) -> None:
        self.boot_id = start.boot_id
        self.is_witness = start.is_witness
        self._outward_from = start.outward_from
        self._store = store
        self._speaker = speaker
        self._states: dict[str, ServiceState] = dict(start.states)
        self._durable: dict[str, ServiceState] | None = dict(start.states) if start.is_durable else None
        self._heard: dict[str, int] = {}
        self._shown: dict[str, str] = {}
        self._claimed: dict[str, int] = {}
        self._why: dict[str, str] = {}
        # Until the speaker has them: of one that was left running nothing is certain.
        self._unsure = {name for name, state in self._states.items() if state.advertised is not None}
        self._disk = asyncio.Lock()
        self._announcing = asyncio.Lock()
        self._announcing_outward = asyncio.Lock()
        self._saving: set[asyncio.Task[str | None]] = set()
        self._outward_tasks: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """The states in effect now, by service."""
        return self._states

    @property
    def heard(self) -> Mapping[str, int]:
        """By service, the highest epoch that peers have shown the app's word of since the start."""
        return self._heard

    @property
    def shown(self) -> Mapping[str, str]:
        """By service, the token of the app that proves `heard`."""
        return self._shown

    @property
    def why(self) -> Mapping[str, str]:
        """By service, what its role was last changed or confirmed by since the start, for people."""
        return self._why

    def epoch(self, service: str) -> int:
        """The epoch of the last role command accepted for a service; 0 if there was none."""
        return self._state(service).turn.epoch

    def is_durable(self, service: str) -> bool:
        """Whether the store holds the turn and the role in effect: only then may a FENCE count as acknowledged."""
        if self._durable is None:
            return False
        kept, state = self._durable.get(service, ServiceState()), self._state(service)
        return (kept.turn, kept.role) == (state.turn, state.role)

    def advertisements(self) -> list[Advertisement]:
        """What the speaker should announce to Route Servers for all services together."""
        announced = (_announced(state) for _, state in sorted(self._states.items()))
        return list(chain.from_iterable(announced))

    def is_sure(self, service: str) -> bool:
        """Whether the speaker carried out the last ADVERTISE of a service. Where it did not it goes on trying (`unsent`)."""
        return service not in self._unsure

    async def announce(self) -> None:
        """Announce to Route Servers what they should be sent now; if that fails, the speaker goes on trying."""
        services = frozenset(self._states)
        with contextlib.suppress(SpeakerError):
            await self._speaker.announce(self.advertisements())
            self._unsure -= services

    def outward(self, service: str) -> tuple[Advertisement, ...]:
        """What on-premises neighbours should be sent for a service, by its present role."""
        if self._outward_from is None:
            return ()
        # A prefix that goes to Route Servers goes nowhere else, so that an outward one never keeps an ADVERTISE from being
        # accepted.
        inward = self._announced_for()
        return tuple(item for item in outward(self._state(service), self._outward_from) if item.prefix not in inward)

    async def announce_outward(self) -> None:
        """Announce to on-premises neighbours what they should be sent now; if that fails, the speaker goes on trying."""
        if self._outward_from is None:
            return
        async with self._announcing_outward:
            announced = list(chain.from_iterable(map(self.outward, sorted(self._states))))
            with contextlib.suppress(SpeakerError):
                await self._speaker.announce(announced, Toward.OUTWARD)

    async def obey(self, command: Command) -> str | None:
        """Carry the command out; None when it is accepted, else why it is refused."""
        match command:
            case Status():
                return None
            case Fence():
                return await self._fence(command)
            case Promote() | Advertise() | AdvertiseOutward() if self.is_witness:
                return "a witness serves and announces nothing"
            case Promote():
                return await self._promote(command)
            case Advertise():
                return await self._advertise(command)
            case AdvertiseOutward():
                return await self._take_outward(command)

    def note_peer_epoch(self, service: str, epoch: int, token: str = "") -> None:
        """The app's word (`token`) of an epoch that may be higher than ours: step down if we serve `service` below it."""
        known = self._heard.keys() | self._states.keys()
        if service not in known and len(known) >= SERVICES_MAX:
            return
        if epoch > self._heard.get(service, 0):
            self._heard[service], self._shown[service] = epoch, token
        state = self._state(service)
        reduced = outranked(state, epoch)
        if reduced is not state:
            self._why[service] = f"stepped down: a peer shows the app's command at epoch {epoch}"
            log.warning("stepped down", extra={"service": service, "epoch": epoch, "why": self._why[service]})
            self._announce_outward_soon()
            self._states[service] = reduced
            self._save_soon()

    def note_claims(self, epochs: Mapping[str, int]) -> None:
        """What a peer claims of epochs, by service. It is not believed: it only counts in `believe`."""
        for service in epochs.keys() & self._states.keys():
            self._claimed[service] = max(epochs[service], self._claimed.get(service, 0))

    def believe(self) -> None:
        """The boot window is over: act as holder where that is unconfirmed, and no peer claims a higher epoch."""
        for service, state in list(self._states.items()):
            after = believed(state, self._claimed.get(service, 0))
            if after is not state:
                self._why[service] = "the machine has booted, and no peer contradicts the disk"
                log.warning("serving by the disk alone", extra={"service": service, "why": self._why[service]})
                self._states[service] = after
                self._announce_outward_soon()
                # With it the witness: an agent that is restarted now need not wait again.
                self._save_soon()

    def make_durable_soon(self) -> None:
        """Bring the store up to date in the background, as after a start with a state file that is not trusted."""
        self._save_soon()

    async def close(self) -> None:
        """Wait for writes under way; announcements to on-premises neighbours are cut short."""
        for task in self._outward_tasks:
            task.cancel()
        await asyncio.gather(*self._outward_tasks, return_exceptions=True)
        await asyncio.gather(*self._saving)

    async def _fence(self, command: Fence) -> str | None:
        verdict = fence(command, self._state(command.service), self._heard.get(command.service, 0))
        if isinstance(verdict, Refused):
            return verdict.reason
        self._announce_outward_soon()
        # In effect before anything can fail or wait: the probe says 503 from here on.
        self._states[command.service] = verdict.state
        self._why[command.service] = f"the app's FENCE at epoch {command.turn.epoch}, seq {command.turn.seq}"
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
            # The loop went on while the disk wrote: a fence or a peer's higher epoch may have arrived, and goes first.
            again = promote(command, self._state(command.service), self.boot_id, self._heard.get(command.service, 0))
            self._announce_outward_soon()
            if isinstance(again, Accepted):
                self._states[command.service] = again.state
                self._why[command.service] = f"the app's PROMOTE at epoch {command.turn.epoch}, seq {command.turn.seq}"
                return None
            self._states[command.service] = self._overtaken(command)
            await self._write(self._states)
            return again.reason

    async def _advertise(self, command: Advertise) -> str | None:
        async with self._announcing:
            async with self._disk:
                taken = self._taken(command.service)
                verdict = advertise(command, self._state(command.service), taken)
                if isinstance(verdict, Refused):
                    return verdict.reason
                failure = await self._write({**self._states, command.service: verdict.state})
                if failure is not None:
                    return failure
                # Only the advertisements: the role may have changed while the disk wrote.
                current = self._state(command.service)
                self._states[command.service] = replace(current, advertised=verdict.state.advertised)
            if self._durable != self._states:
                self._save_soon()
            try:
                await self._speaker.announce(self.advertisements())
            except SpeakerError as error:
                self._unsure.add(command.service)
                return f"speaker: {error}"
            self._unsure.discard(command.service)
            return None

    async def _take_outward(self, command: AdvertiseOutward) -> str | None:
        """Accepted once it is durable: no command waits until on-premises neighbours were sent it."""
        if self._outward_from is None and command.prefixes:
            return "no outward neighbour is configured"
        async with self._disk:
            verdict = advertise_outward(command, self._state(command.service), self._taken_outward(command.service))
            if isinstance(verdict, Refused):
                return verdict.reason
            failure = await self._write({**self._states, command.service: verdict.state})
            if failure is not None:
                return failure
            current = self._state(command.service)
            self._states[command.service] = replace(current, outward=verdict.state.outward)
        if self._durable != self._states:
            self._save_soon()
        self._announce_outward_soon()
        return None

    def _announce_outward_soon(self) -> None:
        """In the background, by the roles in effect then: no change of role waits for it."""
        if any(state.outward is not None for state in self._states.values()):
            task = asyncio.get_running_loop().create_task(self.announce_outward())
            self._outward_tasks.add(task)
            task.add_done_callback(self._outward_tasks.discard)

    def _overtaken(self, command: Promote) -> ServiceState:
        current = self._state(command.service)
        if current.turn >= command.turn:
            return current
        return replace(current, turn=command.turn, role=Role.STANDBY, warrant=command.warrant)

    def _state(self, service: str) -> ServiceState:
        return self._states.get(service, ServiceState())

    def _taken(self, service: str) -> dict[IPv4Network, str]:
        """By prefix, the other service for which it goes to Route Servers."""
        return {prefix: other for prefix, other in self._announced_for().items() if other != service}

    def _taken_outward(self, service: str) -> dict[IPv4Network, str]:
        """By prefix, the service for which it is announced, unless that is outward for this one."""
        found: dict[IPv4Network, str] = {}
        for other, state in self._states.items():
            if other != service and state.outward is not None:
                found |= dict.fromkeys(state.outward.prefixes, other)
        return found | self._announced_for()

    def _announced_for(self) -> dict[IPv4Network, str]:
        """By prefix, the service for which it goes to Route Servers."""
        found: dict[IPv4Network, str] = {}
        for service, state in self._states.items():
            found |= {item.prefix: service for item in _announced(state)}
        return found

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
        # In a thread, as a slow disk must not keep the probe from answering. The caller holds the lock.
        snapshot = dict(states)
        try:
            await asyncio.to_thread(self._store.save, snapshot)
        except OSError as error:
            log.error("state cannot be made durable", extra={"why": str(error)})
            self._durable = None
            return "state cannot be made durable"
        self._durable = snapshot
        return None


def _announced(state: ServiceState) -> tuple[Advertisement, ...]:
    return () if state.advertised is None else state.advertised.advertisements
