"""The lines that passes log for programs: `pass {...}` for each pass, `state {...}` for each service of a slow one.

Application Insights keeps the text of a line and its level, and no more, so what is to be queried is JSON in it. The queries
in `infra/bicep` read no key that is not here.
"""

from datetime import datetime

import msgspec


class PassLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One pass: what woke it, how it ended and why. `trace` is that of its commands to agents, whose logs name it too."""

    topology: str
    pace: str
    trigger: str
    outcome: str
    reasons: tuple[str, ...]
    trace: str


class StateLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One service at the end of a slow pass.

    `serving`, `mayServe`, `owed`, `spares` count members; `spares` is null where that is not known. `evidenceSeconds`: the age of
    the look on which it was decided; `operationSeconds`: for how long a change has been under way, 0 where none is.
    `writeTokensLeft` of the topology's budget for verification; `automaticFailovers` in a row. `heldSeconds`: the time since the
    look before, where something is held: their sum is for how long it was.
    """

    topology: str
    service: str
    at: datetime
    trace: str
    mode: str
    phase: str
    epoch: int
    holder: str | None
    serving: int
    may_serve: int
    owed: int
    spares: int | None
    outcome: str
    held: bool
    held_seconds: float
    reasons: tuple[str, ...]
    operation: str
    operation_seconds: float
    evidence_seconds: float
    automatic_failovers: int
    write_tokens_left: int
