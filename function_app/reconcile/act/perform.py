"""Performs effects: the one function that every effect passes, and what each owes at execution (safety.md section 5).

The caller has written the intent before (`services`); nothing is repeated blindly: an effect that did not succeed is
noted in `Observed.tried` and left for the next look.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from function_app.domain.base.errors import Terminal, Transient, Unavailable
from function_app.domain.service.health import seen_by_peers
from function_app.domain.service.observation import BalancerReading, Observed, Unreachable, Value
from function_app.domain.service.steps import (
    REFUSED,
    Advertisement,
    AwaitProbe,
    Effect,
    FenceByBalancer,
    LiftByBalancer,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPath,
    SendPromote,
)
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import trace
from function_app.reconcile.act import fencing, probing
from function_app.reconcile.passes import leases
from function_app.reconcile.ports import AgentCommand, BalancerWrite, CommandAnswer, Ports
from function_app.reconcile.store import keys
from function_app.reconcile.store.records import Records, StoredRecord
from function_app.reconcile.telemetry import FAILED

FENCE_LEASE = timedelta(seconds=10)
"""How long others leave a fence or a lift to an instance that may have died in the middle of it."""

type ObservedChange = Callable[[Observed], Observed]
"""Adds what came of an effect to an observation."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What performing needs: where, for what, and the record as it was written for these effects."""

    ports: Ports
    topology: Topology
    service: Service
    records: Records
    intent: StoredRecord

    async def intent_stands(self) -> bool:
        """Whether the record still is the one these effects were decided on (finding 9)."""
        return await self.records.etag(self.topology, self.service) == self.intent.etag


async def perform(hand: Hand, effects: tuple[Effect, ...], observed: Observed) -> Observed:
    """Performs `effects` side by side and adds what came of them to `observed`."""
    for noted in await asyncio.gather(*(_perform(hand, effect, observed) for effect in effects)):
        observed = noted(observed)
    return observed


async def _perform(hand: Hand, effect: Effect, observed: Observed) -> ObservedChange:
    name, service = type(effect).__name__, hand.service.name
    with trace.span(hand.ports, name, service=service, member=effect.member, epoch=effect.epoch) as said:
        noted = await _carried_out(hand, effect, observed)
        if why := noted(observed).tried.get(effect):
            said[FAILED] = why
    return noted


async def _carried_out(hand: Hand, effect: Effect, observed: Observed) -> ObservedChange:
    match effect:
        case SendFence() | SendPromote() | SendAdvertise():
            return await _command(hand, effect, effect, observed)
        case SendOutward():
            return await _tell_outward(hand, effect, observed)
        case SendPath():
            return await _announce(hand, effect, observed)
        case FenceByBalancer() | LiftByBalancer():
            return await _tried(effect, _write(hand, effect, observed))
        case AwaitProbe():
            return await _tried(effect, _await_probe(hand, effect))


async def _tried(effect: Effect, attempt: Awaitable[ObservedChange]) -> ObservedChange:
    try:
        return await attempt
    except (Transient, Terminal) as error:
        why = str(error)
        return lambda seen: seen.with_tried(effect, why)


async def _await_probe(hand: Hand, effect: AwaitProbe) -> ObservedChange:
    await probing.await_probe(hand.ports, hand.service, hand.topology.speaker(effect.member), effect)
    return lambda seen: seen.with_awaited(effect)


async def _announce(hand: Hand, effect: SendPath, observed: Observed) -> ObservedChange:
    """Counts only when the agent accepted this very command: its status is durable before it is on the wire."""
    next_hop = hand.topology.speaker(effect.path.next_hop).address
    advertisements = tuple(Advertisement(p, next_hop, effect.path.prepend) for p in sorted(hand.service.prefixes))
    command = SendAdvertise(effect.member, effect.epoch, effect.seq, advertisements)
    noted = await _command(hand, effect, command, observed)

    def announced(seen: Observed) -> Observed:
        seen = noted(seen)
        return seen if effect in seen.tried else seen.with_announced(effect.member, effect.turn)

    return announced


async def _tell_outward(hand: Hand, effect: SendOutward, observed: Observed) -> ObservedChange:
    """Without an answer it was not sent, and no more: an agent too old for it answers everything else."""
    noted = await _command(hand, effect, effect, observed)
    before = observed.agents.get(effect.member, Unreachable("not requested"))

    def told(seen: Observed) -> Observed:
        after = noted(seen)
        return after if after.status(effect.member) is not None else after.with_agent(effect.member, before)

    return told


async def _command(hand: Hand, effect: Effect, command: AgentCommand, observed: Observed) -> ObservedChange:
    speaker = hand.topology.speaker(command.member)
    timeout = _patience(hand, command.member, observed)
    answer = await hand.ports.agents.command(hand.topology.name, speaker, hand.service.key, command, timeout)
    why = _shortfall(answer)

    def noted(seen: Observed) -> Observed:
        seen = seen.with_agent(command.member, answer.reading)
        return seen.with_tried(effect, why) if why else seen

    return noted


def _shortfall(answer: CommandAnswer) -> str | None:
    if isinstance(answer.reading, Unreachable):
        return answer.reading.reason
    return f"{REFUSED}{answer.refused}" if answer.refused else None


def _patience(hand: Hand, member: str, observed: Observed) -> timedelta:
    """A member that its peers report dead gets no longer than it takes to miss `gossipFall` heartbeats."""
    timing = hand.topology.timing
    dead = isinstance(observed.agents.get(member), Unreachable) and seen_by_peers(member, observed) is Value.BAD
    return timing.dead_member_timeout if dead else timing.command_timeout


async def _write(hand: Hand, effect: FenceByBalancer | LiftByBalancer, observed: Observed) -> ObservedChange:
    """One at a time for a member: two writes of the same would only supersede each other in Azure, again and again."""
    timing = hand.topology.timing
    fence = effect if isinstance(effect, FenceByBalancer) else None
    request = BalancerWrite(
        service=hand.service,
        speaker=hand.topology.speaker(effect.member),
        epoch=effect.epoch,
        recheck=hand.intent_stands,
        settle=timing.fence_settle,
        timeout=timing.fence_timeout,
        wary=fence is not None and fence.wary,
        beside_operator=fence is not None and fence.beside_operator,
        hidden=_hidden(observed, effect.member),
    )
    turn = keys.fence_lease(hand.topology.name, hand.service.key, effect.member)
    work = f"{'fence' if fence else 'lift'} at epoch {effect.epoch}"
    async with leases.renewed(hand.ports, turn, FENCE_LEASE, work) as ours:
        if not ours:
            raise Unavailable(f"another pass is at the {work}", FENCE_LEASE)
        if fence is None:
            await fencing.lift(hand.ports, request)
            return lambda seen: seen.with_lifted(effect.member, effect.epoch)
        proof = await fencing.fence(hand.ports, request)
        return lambda seen: seen.with_proof(effect.member, proof)


def _hidden(observed: Observed, member: str) -> str | None:
    reading = observed.balancer
    if not isinstance(reading, BalancerReading):
        return "this pass has not read who else is"
    return reading.hides(member)
