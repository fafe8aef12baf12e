"""What the triggers and the command line ask for. A trigger carries only which topology to look at (design, decision 1)."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from function_app.domain.base.errors import BadInput
from function_app.domain.preflight.summary import Report
from function_app.domain.service.orders import order_from
from function_app.domain.topology.model import Topology
from function_app.reconcile.operate import operate
from function_app.reconcile.passes.dry_run import plan, what_it_would_do
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.passes.passes import Passes
from function_app.reconcile.passes.sweeps import keep_sweep
from function_app.reconcile.ports import Ports
from function_app.reconcile.preflight import preflight_now
from function_app.reconcile.routes.evidence import Evidence, gather_evidence
from function_app.reconcile.store.topologies import Topologies

log = logging.getLogger("hopkeeper.pass")

SUBSCRIPTIONS = "/subscriptions/"
ESCAPED = re.compile(r"(?<!\\)\\+/")  # as JSON may write a solidus; in JSON in JSON more than once
# Within a text (a URL, JSON in JSON, a sentence) an id ends where none goes on, or where the next one begins. Parentheses may
# stand in the name of a resource group, or around the id.
ID_IN_TEXT = re.compile(r"""/subscriptions/(?:(?!/subscriptions/)[^\s"'`,;?#|<>\[\]{}\\])+""")
OBSERVING = "observing only (HOPKEEPER_OBSERVE_ONLY): nothing is done"


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything Hopkeeper can be asked to do."""

    ports: Ports
    topologies: Topologies
    observe_only: bool = False
    """Passes become dry runs and orders are refused: nothing is written to Azure, agents or records."""

    async def wake_for(self, said: object) -> tuple[str, ...]:
        """Asks for a look at every topology that names a resource which stands anywhere in what an event or an alert said
        (JSON of any shape, all schemas alike), or a parent of one; gives their names."""
        ids = frozenset(_ids_in(said))
        names = [
            in_force.topology.name
            for in_force in await self.topologies.all_in_force()
            if _concerned(ids, in_force.topology.resource_ids)
        ]
        for name in names:
            await self.ports.wake_ups.send(name, timedelta(0))
        return tuple(names)

    async def wake_all(self) -> tuple[str, ...]:
        """The sweep: a look at every topology, spread over the queue. That it came through is written down."""
        names = await self.topologies.names()
        for name in names:
            await self.ports.wake_ups.send(name, timedelta(0))
        await keep_sweep(self.ports, names)
        return names

    async def look(self, name: str, trigger: str) -> Outcome:
        """A slow pass. Raises BadInput where the topology cannot be used."""
        if self.observe_only:
            return await self._observe(name, trigger)
        return await Passes(self.ports).slow(await self.topologies.in_force(name), trigger)

    async def look_at_once(self, name: str, trigger: str) -> Outcome:
        """A fast pass: somebody reported a failure. Raises BadInput where the topology cannot be used."""
        if self.observe_only:
            return await self._observe(name, trigger)
        return await Passes(self.ports).fast(await self.topologies.in_force(name), trigger)

    async def order(self, name: str, service: str, verb: str, said: Any) -> Outcome:
        """An operator's verb for one service. Raises BadInput for what cannot be meant; a refusal is an outcome."""
        in_force = await self.topologies.in_force(name)
        found = next((s for s in in_force.topology.services if s.name == service), None)
        if found is None:
            raise BadInput.of("{service}", f"topology {name!r} has no service {service!r}")
        order = order_from(verb, said)
        if self.observe_only:
            return Outcome(Ending.REFUSED, (OBSERVING,))
        return await operate(self.ports, in_force, found, order)

    async def verify(self, name: str, fresh: bool = False) -> Evidence:
        """Asks until everything is known, and compares; changes nothing. Raises BadInput for an unknown topology."""
        return await gather_evidence(self.ports, (await self.topologies.in_force(name)).topology, fresh)

    async def lint(self, topology: Topology) -> Report:
        """What would break a topology, in force or not: everything is asked now, and nothing is written."""
        return await preflight_now(self.ports, topology)

    async def plan(self, name: str) -> Mapping[str, Any]:
        """What a slow pass would do first. Raises BadInput where the topology cannot be used."""
        return await plan(self.ports, await self.topologies.in_force(name))

    async def _observe(self, name: str, trigger: str) -> Outcome:
        would = what_it_would_do(await self.plan(name))
        outcome = Outcome(Ending.HELD, (OBSERVING, *would))
        fields = {"topology": name, "trigger": trigger, "reasons": "; ".join(outcome.reasons)}
        log.info("observed %s", fields, extra=fields)
        return outcome


def _ids_in(said: object) -> Iterator[str]:
    """Every resource id that a text is or holds, lower case: Azure compares them without case, and its logs write capitals."""
    left = [said]
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


def _concerned(ids: frozenset[str], named: frozenset[str]) -> bool:
    """A peering, a pool or an instance lies below the resource that a topology names."""
    return any(each == name or each.startswith(f"{name}/") for each in ids for name in named)
