"""Takes one service as far as it may go in this pass: decide, write the intent, act, look at what came of it, again."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from function_app.domain.base.errors import HopkeeperError, Superseded
from function_app.domain.base.refusal import Refusal
from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.guards import Opening, Touch, is_paused, refuse
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading, Observed
from function_app.domain.service.orders import Order, obey
from function_app.domain.service.record import Kind, Phase, Record
from function_app.domain.service.referents import referents_of
from function_app.domain.service.steps import AwaitProbe, Effect
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import trace
from function_app.reconcile.act.perform import Hand, perform
from function_app.reconcile.observe import Sight, Watch
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace, named
from function_app.reconcile.ports import Ports
from function_app.reconcile.store.journal import Journal, keep, repeats
from function_app.reconcile.store.records import Records, StoredRecord
from function_app.reconcile.telemetry import DECIDE, INTEND, LOOK, SERVICE, STEP, VERIFY, Said, SpanContext

log = logging.getLogger("hopkeeper.pass")

STEPS_MAX = 16
"""A failover takes five steps; beyond it the next pass goes on."""
LOOKS_MAX = 4
"""How often a pass looks again because another one was faster; then the next pass goes on."""


@dataclass(slots=True)
class Progress:
    """What a pass keeps from one look to the next."""

    journal: Journal
    order: Order | None
    taken: bool = False
    """The order is accepted, whatever is held after it."""
    accepted: tuple[str, ...] = ()
    """What the accepted order did, for people."""
    observed: Observed | None = None
    waited: bool = False
    """It has waited for the load balancer's probe: what was seen before is old."""
    first: Record | None = None
    last: Record | None = None
    ordered: tuple[Effect, ...] = ()
    """What the order itself wanted done at once."""

    def began(self, record: Record) -> None:
        self.first = self.first or record
        self.last = record

    def stepped(self, at: datetime, before: Record, decision: Decision) -> None:
        """A step is durable. The first one of an order takes the order."""
        self.last = decision.record
        self.journal.written(at, before, decision)
        if self.order is not None:
            self.ordered, self.accepted = decision.effects, decision.because
            self.taken, self.order = True, None


@dataclass(frozen=True, slots=True)
class ServicePass:
    """One pass over one service."""

    ports: Ports
    topology: Topology
    service: Service
    pace: Pace
    trigger: str
    woken: datetime

    async def run(self, watch: Watch, order: Order | None = None) -> Outcome:
        """Every consecutive step that a look permits; its proofs and answers grow as effects come back.

        A pass that loses a race looks again: what was read before another writer's change is no ground for one of ours.
        An order is accepted first, or refused; after that the pass goes on as any other.
        """
        return await self.carry_on(watch, self.begin(order))

    def begin(self, order: Order | None) -> Progress:
        started = self.ports.clock.now()
        return Progress(
            Journal(self.topology.name, self.service.name, self.pace.value, self.trigger, self.woken, started), order
        )

    async def carry_on(self, watch: Watch, progress: Progress) -> Outcome:
        """As `run`, for a caller that wants to know afterwards what was seen."""
        with trace.span(self.ports, SERVICE, service=self.service.name) as said:
            outcome = await self._looks(watch, progress)
            said["outcome"] = outcome.ending.word
            await self._close(progress, outcome)
        return outcome

    async def _looks(self, watch: Watch, progress: Progress) -> Outcome:
        outcome = Outcome(Ending.PENDING, (f"{self.service.name}: the record keeps changing",), timedelta(0))
        for attempt in range(LOOKS_MAX):
            with trace.span(self.ports, LOOK):
                sight = await watch(attempt > 0)
            seen = sight.observed
            progress.observed = seen.after(progress.observed) if progress.observed else seen
            progress.waited = False
            try:
                outcome = await self._one_look(progress, sight, progress.observed)
            except Superseded:
                continue
            if not progress.waited:
                break
        if progress.taken:
            reasons = (*self._said(progress.accepted), *outcome.reasons)
            outcome = Outcome(Ending.ACCEPTED, reasons, outcome.retry_after)
        return outcome

    async def _one_look(self, progress: Progress, sight: Sight, observed: Observed) -> Outcome:
        """Decide, guard, intend, act; as many steps as this look permits.

        Raises Superseded when another writer changed the record meanwhile.
        """
        records = Records(self.ports.documents)
        held = await self._record(records, sight)
        progress.began(held.record)
        progress.journal.look(self._look(observed, held.record))
        for _ in range(STEPS_MAX):
            order, before = progress.order, held.record
            name = VERIFY if before.phase is Phase.GRANTED else STEP
            with trace.span(self.ports, name, of=_opened(before), service=self.service.name) as said:
                observed = await sight.enough(self._look(observed, before))
                look = self._look(observed, before)
                decision, refused = self._decided(look, order, said)
                progress.journal.decided(look.now, before, decision, refused)
                changes = decision.record != before
                if refused or (order and not changes):
                    return self._refused(look, decision, refused, order)
                if not changes and not decision.effects:
                    break
                held = await self._intend(records, held, decision.record)
                progress.stepped(look.now, before, decision)
                if decision.effects:
                    hand = Hand(self.ports, self.topology, self.service, records, held)
                    observed = await self._act(hand, progress, decision, observed)
                if progress.waited:
                    break
        return self._outcome(decision, observed)

    async def _record(self, records: Records, sight: Sight) -> StoredRecord:
        observed = sight.observed
        held = sight.held or await records.load(self.topology, self.service, observed.at)
        if isinstance(observed.balancer, BalancerReading) and observed.record_etag != held.etag:
            raise Superseded("the record changed while the load balancer was read: a Down in it may be ours or not")
        return held

    def _decided(self, look: Look, order: Order | None, said: dict[str, Said]) -> tuple[Decision, tuple[Refusal, ...]]:
        with trace.span(self.ports, DECIDE):
            decision = obey(look, order) if order else decide(look)
            refused = refusals(look, decision, order)
        said |= {
            "phase": f"{look.record.phase} → {decision.record.phase}",
            "epoch": decision.record.epoch,
            "because": decision.because,
            "held": decision.held,
            "refused": tuple(map(str, refused)),
        }
        return decision, refused

    async def _act(self, hand: Hand, progress: Progress, decision: Decision, observed: Observed) -> Observed:
        progress.observed = await perform(hand, decision.effects, observed)
        progress.waited = any(isinstance(effect, AwaitProbe) for effect in decision.effects)
        progress.journal.performed(self.ports.clock.now(), progress.observed)
        return progress.observed

    def _look(self, observed: Observed, record: Record) -> Look:
        named = referents_of(self.topology, self.service)
        return Look(self.service, self.topology.timing, observed, record, self.ports.clock.now(), named)

    async def _intend(self, records: Records, held: StoredRecord, record: Record) -> StoredRecord:
        """Writes the intent. Where nothing changes, it makes sure that no other writer did: a pause, above all."""
        with trace.span(self.ports, INTEND):
            if record != held.record:
                return await records.save(self.topology, self._traced(held.record, record), held.etag)
            if await records.etag(self.topology, self.service) != held.etag:
                raise Superseded("the record changed")
        return held

    def _traced(self, before: Record, after: Record) -> Record:
        """An operation that this step opens remembers it."""
        opened = after.operation
        if opened is None or opened.trace or opened == before.operation or not self.ports.telemetry.records:
            return after
        return replace(after, operation=replace(opened, trace=trace.traceparent()))

    def _refused(self, look: Look, decision: Decision, refused: tuple[Refusal, ...], order: Order | None) -> Outcome:
        ending = Ending.PAUSED if refused and is_paused(look) and order is None else Ending.REFUSED
        reasons = tuple(map(str, refused)) or decision.held
        waits = [refusal.wait for refusal in refused if refusal.wait is not None]
        again = min(waits, default=self.topology.timing.doubt_poll)
        return Outcome(ending, self._said(reasons), again)

    def _said(self, reasons: Iterable[str]) -> tuple[str, ...]:
        """With what they are about: the service, and in commands of theirs the topology."""
        return tuple(f"{self.service.name}: {why}" for why in named(reasons, self.topology.name))

    def _outcome(self, decision: Decision, observed: Observed) -> Outcome:
        again = self.topology.timing.doubt_poll
        failed = tuple(f"{type(e).__name__} {e.member}: {why}" for e, why in observed.tried.items())
        alarms = self._said(f"alarm: {alarm}" for alarm in decision.alarms)
        if decision.settled and not failed:
            return Outcome(Ending.CONVERGED, alarms)
        if decision.held or failed:
            held = tuple(dict.fromkeys((*decision.held, *failed)))
            return Outcome(Ending.HELD, (*self._said(held), *alarms), again)
        return Outcome(Ending.PENDING, (*self._said(decision.because), *alarms), again)

    async def _close(self, progress: Progress, outcome: Outcome) -> None:
        """Stores what was done, from which events are made; a failure does not undo what was achieved."""
        before, after = progress.first, progress.last
        if before is None or after is None:
            return
        if outcome.ending is Ending.CONVERGED and before == after and not progress.ordered:
            return
        entry = progress.journal.entry(self.ports.clock.now(), outcome)
        is_ordered = progress.taken or progress.order is not None
        try:
            if is_ordered or not await repeats(self.ports.documents, self.topology, entry):
                await keep(self.ports.documents, self.topology, entry)
        except HopkeeperError as error:
            why = {"topology": self.topology.name, "service": self.service.name, "error": str(error)}
            log.warning("the journal of a pass is lost: %s", why, extra=why)


def _opened(record: Record) -> SpanContext | None:
    """The step that opened the operation under way, in whichever pass."""
    return SpanContext.parsed(record.under_way.trace) if record.under_way else None


def refusals(look: Look, decision: Decision, order: Order | None) -> tuple[Refusal, ...]:
    """The guards on what is about to be done. What an operator orders of the service itself needs no permission."""
    opened, before = decision.record.operation, look.operation
    if opened is not None and (before is None or opened.id != before.id):
        return refuse(Opening(Kind(opened.kind), decision.record.target or ""), look)
    return () if order else refuse(Touch(), look)


async def preview(topology: Topology, service: Service, observed: Observed, ports: Ports) -> tuple[Look, Decision]:
    """What a pass would do first: the same code, with no effects and nothing written (dry run)."""
    held = await Records(ports.documents).load(topology, service, observed.at)
    look = Look(service, topology.timing, observed, held.record, ports.clock.now(), referents_of(topology, service))
    decision = decide(look)
    refused = refusals(look, decision, None)
    return look, Decision(held.record, held=tuple(map(str, refused))) if refused else decision
