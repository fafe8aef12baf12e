"""What commands request of Hopkeeper, wherever it answers: from this machine, over storage and ARM, or of a running app."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from function_app import wiring
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.findings import Preflight, preflight_document
from function_app.reconcile.documents.history import Explanation, History
from function_app.reconcile.documents.outcome import OutcomeAnswer, outcome_document
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.documents.topologies import Applied
from function_app.reconcile.store.topologies import ANYTHING, Expects, Written


class App(Protocol):
    """Raises BadInput for what is not there or cannot be used, and Unavailable where there is no answer."""

    async def overview(self) -> Overview: ...

    async def status(self, topology: str) -> Status: ...

    async def history(self, topology: str, service: str, most: int) -> History: ...

    async def explain(self, topology: str, service: str, at: datetime | None) -> Explanation: ...

    async def plan(self, topology: str) -> Plan: ...

    async def plan_of(self, text: str) -> Plan:
        """Of a document that is not in force."""

    async def verify(self, topology: str, fresh: bool) -> Evidence: ...

    async def lint(self, text: str) -> Preflight:
        """Of a document, with what Azure and the agents answer."""

    async def document(self, topology: str, previous: bool = False) -> Written:
        """As it was written: the one in force, or the one before it."""

    async def put(self, topology: str, text: str, expects: Expects, anyway: bool) -> Applied:
        """Puts a document in force. Raises CannotWork for one in which preflight finds an error, but `anyway`, NotNow for one
        that what is there does not permit, and Changed where that is not what was expected."""

    async def remove(self, topology: str, anyway: bool) -> None:
        """Takes a topology away. Raises NotNow with what to do first; `anyway` leaves peerings behind."""

    async def order(self, topology: str, service: str, verb: str, said: Mapping[str, Any]) -> OutcomeAnswer:
        """A refusal is an answer."""

    async def look(self, topology: str) -> OutcomeAnswer:
        """Makes a pass."""

    async def close(self) -> None: ...


class Direct:
    """The use cases in this process. The signing key is needed for what reads or commands agents alone."""

    async def overview(self) -> Overview:
        return await wiring.without_agents().overview()

    async def status(self, topology: str) -> Status:
        return await wiring.without_agents().status(topology)

    async def history(self, topology: str, service: str, most: int) -> History:
        entries = await wiring.without_agents().history(topology, service, most)
        return History(topology=topology, service=service, entries=entries)

    async def explain(self, topology: str, service: str, at: datetime | None) -> Explanation:
        return await wiring.without_agents().explain(topology, service, at)

    async def plan(self, topology: str) -> Plan:
        return await wiring.use_cases().plan(topology)

    async def plan_of(self, text: str) -> Plan:
        return await wiring.use_cases().plan_of(text)

    async def verify(self, topology: str, fresh: bool) -> Evidence:
        return await wiring.without_agents().verify(topology, fresh)

    async def lint(self, text: str) -> Preflight:
        return preflight_document(await wiring.use_cases().lint_of(text))

    async def document(self, topology: str, previous: bool = False) -> Written:
        topologies = wiring.without_agents().topologies
        return await (topologies.previous(topology) if previous else topologies.written(topology))

    async def put(self, topology: str, text: str, expects: Expects, anyway: bool) -> Applied:
        return await wiring.without_agents().put(topology, text, expects, anyway)

    async def remove(self, topology: str, anyway: bool) -> None:
        await wiring.without_agents().remove(topology, ANYTHING, anyway)

    async def order(self, topology: str, service: str, verb: str, said: Mapping[str, Any]) -> OutcomeAnswer:
        return outcome_document(topology, await wiring.use_cases().order(topology, service, verb, dict(said)))

    async def look(self, topology: str) -> OutcomeAnswer:
        return outcome_document(topology, await wiring.use_cases().look(topology, "by hand"))

    async def close(self) -> None:
        await wiring.close()
