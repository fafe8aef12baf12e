"""How a pass ends, fast or slow: a fault of one service is an outcome, what is left gets a wake-up, and one line is logged."""

import logging

import msgspec

from function_app.domain.base.errors import HopkeeperError, Transient
from function_app.domain.topology.model import Topology
from function_app.reconcile import trace
from function_app.reconcile.documents.lines import PassLine
from function_app.reconcile.observe import Watch
from function_app.reconcile.passes.come_back import come_back
from function_app.reconcile.passes.outcome import Ending, Outcome, Pace
from function_app.reconcile.passes.service import ServicePass
from function_app.reconcile.ports import Ports

log = logging.getLogger("hopkeeper.pass")


async def converge(service_pass: ServicePass, watch: Watch) -> Outcome:
    """Takes one service as far as it may go. A fault of its own never stops another service's pass: it ends as FAILED."""
    try:
        return await service_pass.run(watch)
    except HopkeeperError as error:
        again = service_pass.topology.timing.doubt_poll
        if isinstance(error, Transient):
            again = max(again, error.retry_after)
        return Outcome(Ending.FAILED, (f"{service_pass.service.name}: {error}",), again)


async def finish(ports: Ports, topology: Topology, pace: Pace, trigger: str, outcome: Outcome) -> Outcome:
    """Sends a wake-up where the outcome says when to come back, and logs the pass. Gives the outcome as it is."""
    if outcome.retry_after is not None:
        await come_back(ports, topology.name, outcome.retry_after)
    line = PassLine(
        topology=topology.name,
        pace=pace.value,
        trigger=trigger,
        outcome=outcome.ending.word,
        reasons=outcome.reasons,
        trace=trace.current(),
    )
    log.info("pass %s", msgspec.json.encode(line).decode())
    return outcome
