"""What commands request of Hopkeeper, wherever it answers: from this machine, over storage and ARM, or of a running app."""

from collections.abc import Mapping
from typing import Any, Protocol

from function_app import wiring
from function_app.reconcile.documents.outcome import OutcomeAnswer
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.passes.outcome import Outcome


class App(Protocol):
    """Raises BadInput for what is not there or cannot be used, and Unavailable where there is no answer."""

    async def overview(self) -> Overview: ...

    async def status(self, topology: str) -> Status: ...

    async def order(self, topology: str, service: str, verb: str, said: Mapping[str, Any]) -> OutcomeAnswer:
        """A refusal is an answer."""

    async def look(self, topology: str) -> OutcomeAnswer: ...


class Direct:
    """The use cases in this process. The signing key is needed for what reads or commands agents alone."""

    async def overview(self) -> Overview:
        return await wiring.without_agents().overview()

    async def status(self, topology: str) -> Status:
        return await wiring.without_agents().status(topology)

    async def order(self, topology: str, service: str, verb: str, said: Mapping[str, Any]) -> OutcomeAnswer:
        return _answer(topology, await wiring.use_cases().order(topology, service, verb, dict(said)))

    async def look(self, topology: str) -> OutcomeAnswer:
        return _answer(topology, await wiring.use_cases().look(topology, "by hand"))


def _answer(topology: str, outcome: Outcome) -> OutcomeAnswer:
    again = outcome.retry_after
    return OutcomeAnswer(
        topology=topology,
        outcome=outcome.ending.word,
        reasons=outcome.reasons,
        retry_after_seconds=None if again is None else again.total_seconds(),
    )
