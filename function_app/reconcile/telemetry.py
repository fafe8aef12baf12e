"""What OpenTelemetry is given, as values: spans of what was done, and measures of what a pass knows already (ADR 19).

Nothing here sends anything: `ports.Telemetry` takes both, and `trace` makes the spans. docs/operating.md lists the names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self, get_args

from function_app.domain.service.record import Phase
from function_app.domain.service.steps import Effect
from function_app.reconcile.documents.lines import StateLine

type Said = str | bool | int | float | tuple[str, ...]
"""The value of an attribute."""

TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01")
SPANS = ("trigger", "pass", "service", "look", "step", "verify", "decide", "intend")
"""Names of spans; a command's is the effect's: SendFence, FenceByBalancer, ..."""
TRIGGER, PASS, SERVICE, LOOK, STEP, VERIFY, DECIDE, INTEND = SPANS
COMMANDS = frozenset(effect.__name__ for effect in get_args(Effect.__value__))
FAILED = "failed"
"""Under this attribute a span says why what it stands for did not succeed; its status is an error then."""


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Which trace and which span in it, in hex digits (W3C Trace Context)."""

    trace: str
    span: str

    @classmethod
    def parsed(cls, traceparent: str) -> Self | None:
        """None for what is no traceparent."""
        found = TRACEPARENT.fullmatch(traceparent)
        return cls(found[1], found[2]) if found else None

    def __str__(self) -> str:
        return f"00-{self.trace}-{self.span}-01"


@dataclass(frozen=True, slots=True)
class Span:
    """`link`: the pass that it was part of, where it belongs to a trace that an earlier pass began."""

    context: SpanContext
    parent: SpanContext | None
    link: SpanContext | None
    name: str
    began: datetime
    ended: datetime
    said: Mapping[str, Said]

    @property
    def failed(self) -> str | None:
        found = self.said.get(FAILED)
        return None if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Instrument:
    name: str
    unit: str
    kind: Literal["gauge", "counter", "histogram"]
    says: str


INSTRUMENTS = (
    Instrument("hopkeeper.service.serving", "{member}", "gauge", "members that serve, by the last look"),
    Instrument("hopkeeper.service.may_serve", "{member}", "gauge", "members that may be serving, by the record"),
    Instrument("hopkeeper.service.owed", "{member}", "gauge", "members whose adminState is to be taken back"),
    Instrument("hopkeeper.service.spares", "{member}", "gauge", "members that could take over: the redundancy"),
    Instrument("hopkeeper.service.holder", "{member}", "gauge", "1 for the holder, 0 for every other member"),
    Instrument("hopkeeper.service.phase", "{service}", "gauge", "1 for the record's phase, 0 for every other one"),
    Instrument("hopkeeper.service.epoch", "{epoch}", "gauge", "the record's epoch"),
    Instrument("hopkeeper.service.held", "s", "counter", "time for which something was held"),
    Instrument("hopkeeper.service.operation.duration", "s", "gauge", "for how long a change has been under way"),
    Instrument("hopkeeper.service.evidence.age", "s", "gauge", "age of the look that was decided on"),
    Instrument("hopkeeper.service.failovers", "{failover}", "gauge", "automatic failovers in a row, which are damped"),
    Instrument("hopkeeper.arm.write_tokens", "{token}", "gauge", "write tokens left of the budget for verification"),
    Instrument("hopkeeper.pass.duration", "s", "histogram", "passes by how they ended, and how long they took"),
    Instrument("hopkeeper.command.duration", "s", "histogram", "commands to agents and writes to the load balancer"),
)


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of an instrument, which its name says."""

    name: str
    value: float
    said: Mapping[str, Said]


def of_state(line: StateLine, members: tuple[str, ...]) -> Iterator[Measure]:
    """One service at the end of a slow pass; what is not known is left out."""
    of = {"topology": line.topology, "service": line.service}
    gauges: dict[str, float | None] = {
        "serving": line.serving,
        "may_serve": line.may_serve,
        "owed": line.owed,
        "spares": line.spares,
        "epoch": line.epoch,
        "held": line.held_seconds,
        "operation.duration": line.operation_seconds,
        "evidence.age": line.evidence_seconds,
        "failovers": line.automatic_failovers,
    }
    for name, value in gauges.items():
        if value is not None:
            yield Measure(f"hopkeeper.service.{name}", value, of)
    for member in members:
        yield Measure("hopkeeper.service.holder", int(member == line.holder), of | {"member": member})
    for phase in Phase:
        yield Measure("hopkeeper.service.phase", int(phase == line.phase), of | {"phase": str(phase)})
    yield Measure("hopkeeper.arm.write_tokens", line.write_tokens_left, {"topology": line.topology})


def of_span(span: Span) -> Iterator[Measure]:
    """How long it took, where that is worth a histogram; by what does not take ever new values."""
    seconds = (span.ended - span.began).total_seconds()
    if span.name == PASS:
        kept = ("topology", "pace", "outcome")
        yield Measure("hopkeeper.pass.duration", seconds, {key: span.said.get(key, FAILED) for key in kept})
    elif span.name in COMMANDS:
        said = {"service": span.said["service"], "command": span.name, "succeeded": span.failed is None}
        yield Measure("hopkeeper.command.duration", seconds, said)
