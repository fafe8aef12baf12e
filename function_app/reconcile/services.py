"""Takes one service as far as it may go in this pass: decide, write the intent, act, look at what came of it, again."""

from dataclasses import dataclass
from datetime import datetime

from function_app.domain.decide import Decision, decide
from function_app.domain.errors import HopkeeperError, Superseded
from function_app.domain.guards import refuse_service
from function_app.domain.observation import Observed
from function_app.domain.record import Phase, Record
from function_app.domain.topology import Service, Topology
from function_app.reconcile.act import Hand, perform
from function_app.reconcile.journal import Journal, keep
from function_app.reconcile.outcome import CONVERGED, Ending, Outcome
from function_app.reconcile.ports import Happening, Ports
from function_app.reconcile.records import Held, Records

STEPS_MAX = 16
"""A failover takes five steps; the rest leaves room for a lost race or two. Beyond it the next pass goes on."""


@dataclass(frozen=True, slots=True)
class ServicePass:
    """One pass over one service."""

    ports: Ports
    topology: Topology
    service: Service
    pace: str
    trigger: str
    woken: datetime

    async def run(self, observed: Observed) -> Outcome:
        """Every consecutive step that `observed` permits; its proofs and answers grow as effects come back."""
        records = Records(self.ports.documents)
        held = await records.load(self.topology, self.service, observed.at)
        before = held.record
        journal = Journal(self.service.name, self.pace, self.trigger, self.woken, observed.at)
        journal.look(self.service, observed, held.record, self.topology.timing)
        refusals = refuse_service(self.service, observed, held.record)
        if refusals:
            outcome = Outcome(Ending.REFUSED, tuple(map(str, refusals)), self.topology.timing.doubt_poll)
            await self._close(journal, outcome, before, before)
            return outcome
        decision = Decision(held.record)
        for _ in range(STEPS_MAX):
            decision = decide(self.service, self.topology.timing, observed, held.record)
            journal.decided(self.ports.clock.now(), held.record, decision)
            if decision.record == held.record and not decision.effects:
                break
            try:
                held = await self._intend(records, held, decision.record)
            except Superseded:
                held = await records.load(self.topology, self.service, observed.at)
                continue
            if decision.effects:
                hand = Hand(self.ports, self.topology, self.service, records, held)
                observed = await perform(hand, decision.effects, observed)
                journal.performed(self.ports.clock.now(), observed)
        outcome = self._outcome(decision, observed)
        await self._close(journal, outcome, before, held.record)
        return outcome

    async def _intend(self, records: Records, held: Held, record: Record) -> Held:
        return held if record == held.record else await records.save(self.topology, record, held.etag)

    def _outcome(self, decision: Decision, observed: Observed) -> Outcome:
        again = self.topology.timing.doubt_poll
        failed = tuple(f"{type(e).__name__} {e.member}: {why}" for e, why in observed.tried.items())
        if decision.settled and not failed:
            return CONVERGED
        if decision.held or failed:
            held = tuple(dict.fromkeys((*decision.held, *failed)))
            return Outcome(Ending.HELD, tuple(f"{self.service.name}: {reason}" for reason in held), again)
        return Outcome(Ending.PENDING, tuple(f"{self.service.name}: {why}" for why in decision.because), again)

    async def _close(self, journal: Journal, outcome: Outcome, before: Record, after: Record) -> None:
        """Files what was done, and tells others when the holder changed; neither may spoil what was achieved."""
        if outcome is CONVERGED and before == after:
            return
        try:
            await keep(self.ports.documents, self.topology, journal.entry(self.ports.clock.now(), outcome))
            if after.phase is Phase.GRANTED and before.epoch != after.epoch:
                await self.ports.events_out.publish(self._holder_changed(before, after))
        except HopkeeperError:
            return

    def _holder_changed(self, before: Record, after: Record) -> Happening:
        reason = after.operation.reason if after.operation else ""
        data = {"from": before.target, "to": after.target, "epoch": after.epoch, "reason": reason}
        return Happening("HolderChanged", self.topology.name, self.service.name, data)


async def preview(topology: Topology, service: Service, observed: Observed, ports: Ports) -> Decision:
    """What a pass would do first: the same code, with no effects and nothing written (dry run)."""
    held = await Records(ports.documents).load(topology, service, observed.at)
    refusals = refuse_service(service, observed, held.record)
    if refusals:
        return Decision(held.record, held=tuple(map(str, refusals)))
    return decide(service, topology.timing, observed, held.record)
