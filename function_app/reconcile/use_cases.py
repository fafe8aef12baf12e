"""The facade: what the triggers, the command line and, later, an API ask for. A trigger passes on only which topology to
look at; what it says beyond that decides nothing."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from function_app.domain.base.errors import BadInput, NotAuthentic, NotThere, among
from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.summary import Report, broken, lint
from function_app.domain.service.orders import Order, order_from
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile import changes, history, status, trace
from function_app.reconcile.documents.events import Events
from function_app.reconcile.documents.evidence import Evidence, evidence_document
from function_app.reconcile.documents.history import Entry, Explanation
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.documents.topologies import Applied, TopologyList
from function_app.reconcile.observe import AgentReadings
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.come_back import come_soon
from function_app.reconcile.passes.dry_run import plan, reasons
from function_app.reconcile.passes.fast import fast_pass
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace
from function_app.reconcile.passes.slow import slow_pass
from function_app.reconcile.passes.sweeps import keep_sweep, moment_in_sweep
from function_app.reconcile.ports import Ports, SignedReport
from function_app.reconcile.preflight import preflight_now
from function_app.reconcile.routes.evidence import gather_evidence
from function_app.reconcile.store.topologies import Expects, InForce, Topologies
from function_app.reconcile.telemetry import TRIGGER
from function_app.reconcile.waiting import Marks

log = logging.getLogger("hopkeeper.pass")

HISTORY_MOST = 32
NOT_ENROLLED = "no certificate is enrolled for the agent that it names"
SUBSCRIPTIONS = "/subscriptions/"
ESCAPED = re.compile(r"(?<!\\)\\+/")  # as JSON may write a solidus; in JSON in JSON more than once
# Within a text (a URL, JSON in JSON, a sentence) an id ends where none goes on, or where the next one begins. Parentheses may
# stand in the name of a resource group, or around the id.
ID_IN_TEXT = re.compile(r"""/subscriptions/(?:(?!/subscriptions/)[^\s"'`,;?#|<>\[\]{}\\])+""")
OBSERVING = "observing only (HOPKEEPER_OBSERVE_ONLY): nothing is done"


@dataclass(frozen=True, slots=True)
class Reported:
    """The topology that a verified report belongs to, and how the pass ended that it led to."""

    topology: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Early:
    """What was begun of a report by the topology that was in force the last time."""

    generation: str
    reason: str
    """Why it was sent, by a report that is authentic."""
    agents: AgentReadings

    def is_of(self, in_force: InForce, now: datetime) -> bool:
        """Void where another one is in force by now, or it took so long to find out that a pass would look anew."""
        age = now - self.agents.request().at
        return self.generation == in_force.generation and age <= in_force.topology.timing.observe_fast


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything that can be requested of Hopkeeper. Every method may raise Unavailable where storage does not answer.

    Questions: overview, status, listed, history, explain, changed_since, plan, difference, verify,
    lint. Changes: apply, put, remove, order.
    Passes: look, look_at_once, report.
    Wake-ups, for passes to come: wake_for, wake_all.
    """

    ports: Ports
    topologies: Topologies
    observe_only: bool = False
    """Passes become dry runs and orders are refused: nothing is written to Azure, agents or records."""
    marks: Marks = field(default_factory=Marks)

    # --- questions ---------------------------------------------------------------------------------------------------

    async def overview(self) -> Overview:
        """Every topology in short."""
        return await status.overview(self.topologies, self.ports.documents, self.ports.clock, self.observe_only)

    async def status(self, name: str) -> Status:
        """One topology: its records, and what the last slow pass saw. Raises BadInput for one that is unknown."""
        return await status.detail(self.topologies, self.ports.documents, self.ports.clock, name)

    async def listed(self) -> TopologyList:
        """Every topology, with the etag of its document."""
        return await status.listed(self.topologies)

    async def history(
        self, name: str, service: str, most: int = HISTORY_MOST, after: datetime | None = None
    ) -> tuple[Entry, ...]:
        """The last entries of a service, the newest last, or the first of those that began later than `after`; none where nothing
        is on record yet. Raises BadInput for a service that is neither in force nor on record."""
        entries = await history.entries(self.ports.documents, name, service, most, after)
        if not entries:
            await self._known(name, service)
        return entries

    async def explain(self, name: str, service: str, at: datetime | None = None) -> Explanation:
        """Why a service is as it is, or was at a moment. Raises BadInput as `history` does."""
        found = await history.explain(self.ports.documents, name, service, at)
        if not found.entries:
            await self._known(name, service)
        return found

    async def _known(self, name: str, service: str) -> tuple[InForce, Service]:
        """The topology, and its service. Raises BadInput where there is none of either."""
        in_force = await self.topologies.in_force(name)
        found = next((s for s in in_force.topology.services if s.name == service), None)
        if found is None:
            raise NotThere.of("service", _no_such_service(in_force.topology, service))
        return in_force, found

    async def changed_since(self, name: str, after: str, wait: timedelta) -> Events:
        """Waits until what is known of a topology is another thing than what the mark `after` stands for. Raises BadInput."""
        return await self.marks.changed_since(self.ports, self.topologies, name, after, wait)

    async def difference(self, name: str, text: str) -> Iterator[str]:
        """Lines of a unified diff from the document in force to this one. Raises BadInput."""
        return await changes.difference(self.topologies, name, text)

    async def plan(self, name: str) -> Plan:
        """What a slow pass would do first. Raises BadInput where the topology cannot be used."""
        return await plan(self.ports, await self.topologies.in_force(name))

    async def plan_of(self, text: str) -> Plan:
        """The same with a document that is not in force; `problems` say why it could not be. Raises BadInput where it is none."""
        return await plan(self.ports, await self.topologies.proposed(text))

    async def verify(self, name: str, fresh: bool = False, most: timedelta = timedelta.max) -> Evidence:
        """Reads routes and flags until everything is known, and compares; changes nothing. Raises BadInput for an unknown
        topology. `fresh` takes no answer to an earlier request; after `most` what is missing stays so."""
        topology = (await self.topologies.in_force(name)).topology
        found = await gather_evidence(self.ports, topology, fresh, most)
        return evidence_document(name, found, self.ports.clock.now())

    async def lint_of(self, text: str, azure: bool = True) -> Report:
        """The same of a document that is not in force; without `azure` of the document alone. One that cannot be used has a
        report too."""
        try:
            topology = self.topologies.decoded(text)
        except BadInput as error:
            return broken(error.problems)
        return await self.lint(topology) if azure else lint(topology, Facts())

    async def lint(self, topology: Topology) -> Report:
        """What would keep a topology from working, in force or not: everything is read now, and nothing is written."""
        return await preflight_now(self.ports, topology)

    # --- changes -----------------------------------------------------------------------------------------------------

    async def apply(self, text: str) -> Topology:
        """Checks a topology document and puts it in force, whole or not at all.

        Raises BadInput with everything that is wrong, Superseded where another writer was faster.
        """
        return await self.topologies.apply(text)

    async def put(self, name: str, text: str, expects: Expects, anyway: bool = False) -> Applied:
        """The same for the topology of this name, judged by preflight first, and only where what is there is what is expected."""
        return await changes.put(self.topologies, name, text, expects, anyway)

    async def remove(self, name: str, expects: Expects, anyway: bool = False) -> None:
        """Takes a topology away. Raises NotNow with what to do first; `anyway` leaves peerings behind."""
        await changes.remove(self.ports, self.topologies, name, expects, anyway)

    async def order(
        self, name: str, service: str, verb: str, said: Any, permit: Callable[[Order], None] | None = None
    ) -> Outcome:
        """An operator's verb for one service. `permit` raises for an order that its caller may not give. Raises BadInput for an
        unknown one or a malformed body; a refusal is an outcome."""
        in_force, found = await self._known(name, service)
        order = order_from(verb, said)
        if permit is not None:
            permit(order)
        if self.observe_only:
            return Outcome(Ending.REFUSED, (OBSERVING,))
        return await operate(self.ports, in_force, found, order)

    # --- passes ------------------------------------------------------------------------------------------------------

    async def look(self, name: str, trigger: str) -> Outcome:
        """A slow pass. Raises BadInput where the topology cannot be used."""
        with trace.span(self.ports, TRIGGER, trigger=trigger, topology=name):
            return await self._pass(await self.topologies.in_force(name), trigger, Pace.SLOW)

    async def look_at_once(self, name: str, trigger: str) -> Outcome:
        """A fast pass, for a failure that was reported. Raises BadInput where the topology cannot be used."""
        with trace.span(self.ports, TRIGGER, trigger=trigger, topology=name):
            return await self._pass(await self.topologies.in_force(name), trigger, Pace.FAST)

    async def report(self, text: str) -> Reported:
        """An agent's signed report: verified with the certificate that its topology enrols, then a fast pass.

        The report is a hint: the pass reads the agents' statuses itself. Raises BadInput for what is no report,
        NotAuthentic for one that no enrolled agent signed.
        """
        came = self.ports.clock.now()
        report = self.ports.reports.claimed(text)
        early = None if self.observe_only else self._early(report)
        try:
            return await self._reported(report, came, early)
        finally:
            if early is not None:
                early.agents.close()

    def _early(self, report: SignedReport) -> Early | None:
        """Requests the agents' statuses while the topology is loaded, where the report is authentic by the last one."""
        recalled = self.topologies.recalled(report.topology)
        if recalled is None:
            return None
        try:
            reason = _reason(report, recalled.topology, self.ports.clock.now())
        except (BadInput, NotAuthentic) as error:  # the topology in force decides, which may be another one
            log.debug("the agents are not requested before the topology is loaded: %s", error)
            return None
        agents = AgentReadings(self.ports, recalled.topology)
        agents.request()
        return Early(recalled.generation, reason, agents)

    async def _reported(self, report: SignedReport, came: datetime, early: Early | None) -> Reported:
        try:
            in_force = await self.topologies.in_force(report.topology)
        except BadInput as error:
            raise NotAuthentic(NOT_ENROLLED) from error
        now = self.ports.clock.now()
        if early is not None and not early.is_of(in_force, now):
            early = None
        reason = early.reason if early else _reason(report, in_force.topology, now)
        trigger = f"report of {report.agent}: {reason}"
        with trace.span(self.ports, TRIGGER, began=came, trigger=trigger, topology=report.topology):
            outcome = await self._pass(in_force, trigger, Pace.FAST, early.agents if early else None)
        return Reported(report.topology, outcome)

    async def _pass(
        self, in_force: InForce, trigger: str, pace: Pace, requested: AgentReadings | None = None
    ) -> Outcome:
        if self.observe_only:
            return await self._observe(in_force, trigger)
        if pace is Pace.FAST:
            return await fast_pass(self.ports, in_force, trigger, requested)
        return await slow_pass(self.ports, in_force, trigger)

    async def _observe(self, in_force: InForce, trigger: str) -> Outcome:
        outcome = Outcome(Ending.HELD, (OBSERVING, *reasons(await plan(self.ports, in_force))))
        fields = {"topology": in_force.topology.name, "trigger": trigger, "reasons": "; ".join(outcome.reasons)}
        log.info("observed %s", fields, extra=fields)
        return outcome

    # --- wake-ups ----------------------------------------------------------------------------------------------------

    async def wake_for(self, event: object) -> tuple[str, ...]:
        """Wakes every topology that names a resource, or a parent of one, whose id is anywhere in an event or an alert
        (JSON of any shape, all schemas alike); gives their names."""
        names = await self.topologies.naming(frozenset(ids_in(event)))
        for name in names:
            await come_soon(self.ports, name)
        return names

    async def wake_all(self) -> tuple[str, ...]:
        """The sweep: wakes every topology through the queue, and stores when it came through. Many are spread over time, each
        at a moment of its own, for ARM answers 25 requests a second and a pass makes half a dozen."""
        names = await self.topologies.names()
        for name in names:
            await self.ports.wake_ups.send(name, moment_in_sweep(name, len(names)))
        await keep_sweep(self.ports, names)
        return names


def _reason(report: SignedReport, topology: Topology, now: datetime) -> str:
    """Raises NotAuthentic unless an agent signed it that the topology enrols, BadInput for one that is malformed."""
    certificate = _certificate(topology, report.agent)
    if certificate is None:
        raise NotAuthentic(NOT_ENROLLED)
    return report.verify(certificate, now)


def _certificate(topology: Topology, agent: str) -> str | None:
    """The certificate (PEM) that a topology enrols for one of its speakers; None where there is none."""
    for speaker in topology.speakers:
        if speaker.name == agent and speaker.agent is not None:
            return speaker.agent.certificate
    return None


def ids_in(event: object) -> Iterator[str]:
    """Every resource id in its texts, in lower case: Azure compares them without case, and its logs write capitals."""
    left = [event]
    while left:
        match left.pop():
            case str(text):
                whole = text.strip().casefold()
                if whole.startswith(SUBSCRIPTIONS):
                    yield whole
                for found in ID_IN_TEXT.findall(ESCAPED.sub("/", whole)):
                    yield found.rstrip(".:")
                    yield re.split("[()]", found, maxsplit=1)[0]
            case dict(mapping):
                left += [*mapping.keys(), *mapping.values()]
            case list(items) | tuple(items):
                left += items


def _no_such_service(topology: Topology, name: str) -> str:
    renamed = [service.name for service in topology.services if service.formerly == name]
    there = among(name, (service.name for service in topology.services))
    rule = f"topology {topology.name!r} has no service {name!r}"
    return f"{rule}: it is called {renamed[0]} now" if renamed else f"{rule}{there}"
