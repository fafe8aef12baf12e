"""The durable state of one service: what may be serving, which operation runs. One blob, compare-and-swap by ETag.

Bounded; history lives elsewhere (safety.md section 2). A record that a newer version wrote is only observed.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from function_app.domain.service.ranked.paths import Rank
from function_app.domain.service.referents import Referents

EPOCH_MAX = 2**53 - 2**32
"""A record beyond it was tampered with, and is corrupt: the numbers above are never used up."""
Aware = Annotated[datetime, Meta(tz=True)]
"""A record with a time without offset was edited by hand, and is corrupt."""
SCHEMA = 2
"""The newest that this version acts on."""
SCHEMA_WITHOUT_LEAVING = 1
"""Of every record but one of a service that leaves: what an older version may act on as well."""


class Phase(StrEnum):
    """learn → stable → fencing → granted → stable. Pause and blindness are guards, not phases."""

    LEARN = "learn"
    STABLE = "stable"
    FENCING = "fencing"
    GRANTED = "granted"


class Fence(Struct, frozen=True, kw_only=True):
    """A member fenced through the load balancer: the epoch whose operation proved it, and the etag of that write."""

    epoch: int
    etag: str
    address: str = ""
    """Where (`observation.Backend.address`); empty in a record of an older version."""


class Ack(Struct, frozen=True, kw_only=True):
    """An agent's signed acknowledgement of FENCE: proof F1 only while `epoch` is the record's."""

    epoch: int
    boot_id: str


class Learning(Struct, frozen=True, kw_only=True):
    """How much has been seen since the record was found missing, corrupt or behind an agent's epoch."""

    since: Aware
    rounds: int = 0
    last: Aware | None = None
    """When the last complete round was looked at: one look counts once, however often it is decided on."""


class Tally(Struct, frozen=True, kw_only=True):
    """How often in a row a source has said BAD; kept only while it does (fall), or is recovering (rise)."""

    bad: int = 0
    good: int = 0
    at: Aware


class Kind(StrEnum):
    """Why an operation was opened."""

    ADOPT = "adopt"
    """Nothing was known; one member is made to serve, at best the one that does already."""
    FAILOVER = "failover"
    PROBE = "failover on the probe alone"
    """The holder finds itself fit, only the load balancer's probe fails: tried once, then held (a probe path fault)."""
    NEXT = "next candidate"
    RENEW = "renew"
    """For the same holder: it lost its role, a fence was undone by another owner, or a second member is admitted."""
    SWITCHOVER = "switchover"
    """Planned: by acknowledgement only, and back to the old holder if the target does not take it."""
    BACK = "back to the old holder"
    FORCED = "failover by hand"
    """Skips evidence, never fencing."""


AUTOMATIC = frozenset({Kind.FAILOVER, Kind.PROBE})
DISCRETIONARY = frozenset({Kind.SWITCHOVER})


class Operation(Struct, frozen=True, kw_only=True):
    """The change under way, or the last one while it is being verified."""

    id: str
    kind: str
    reason: str
    started: Aware
    deadline: Aware
    attempt: int = 0
    previous: str | None = None
    granted: Aware | None = None
    """When the target was given the role; None while it is not. One that keeps it through an operation has had it since."""
    confirmed: bool = False
    """The new holder served already when it was granted, or its probe was seen to rise since."""
    sharing: bool = False
    """`handover: seamless`: the old holder and the target serve on purpose, both in `may_serve`, until the load balancer has the
    target up. What ends it is another operation, which fences one of them."""
    served: bool = False
    """The target was seen to serve, by a look that could confirm it: the patience for that is not used up by the looks before, in
    which it did not serve."""
    learned: bool = False
    """Opened from `learn`, or while such a one had not granted yet: which lifts are still on their way to the data plane is on no
    record."""
    trace: str = ""
    """The traceparent of the step that opened it, so that the pass which verifies it goes on in that trace; empty without
    telemetry. Nothing is decided by it."""

    def granted_for(self, at: datetime) -> timedelta | None:
        """How long the target has had the role; None while it has not, or where a clock that was ahead said when."""
        if self.granted is None or self.granted > at:
            return None
        return at - self.granted


class Advertised(Struct, frozen=True, kw_only=True):
    """Numbers what members are commanded to announce, so that an old command never overwrites a newer one."""

    seq: int = 0
    digest: str = ""


class Spacing(Struct, frozen=True, kw_only=True):
    """How many of a kind came in a row, automatic failovers above all, and when the last one did."""

    count: int = 0
    last: Aware


class Pause(Struct, frozen=True, kw_only=True):
    """An operator's word that nothing may be done to the service until then."""

    until: Aware
    by: str
    reason: str = ""


class Drain(Struct, frozen=True, kw_only=True):
    """An operator's word that a member must not serve until then."""

    until: Aware
    by: str


class Rehearsal(Struct, frozen=True, kw_only=True):
    """A fence rehearsal: others leave its member alone until then, while it is owed for this epoch and no later one."""

    member: str
    epoch: int
    until: Aware


class Leaving(Struct, frozen=True, kw_only=True):
    """An operator's word that a service is no more: `how` is retired or released, `done` once nothing is left to do."""

    how: str
    by: str
    at: Aware
    done: bool


class Record(Struct, frozen=True, kw_only=True):
    """See the module. Unknown keys of a newer writer are ignored on reading; `schema` says whether it may be acted on.

    `target` is the holder once granted. `owed` names every member whose adminState we may have set to Down and still
    have to take back, with the epoch that first did: it is written before that write, so that a crash never turns our
    Down into one that looks like an operator's (ADR 1). `fenced` (a subset) are those whose Down is proven and still believed.
    """

    service: str
    schema: int = SCHEMA_WITHOUT_LEAVING
    epoch: Annotated[int, Meta(ge=0, le=EPOCH_MAX)] = 0
    seq: Annotated[int, Meta(ge=0, le=EPOCH_MAX)] = 0
    """Numbers PROMOTE at this epoch, and FENCE has the next number. It rises in active-active services alone, where the end of a
    drain would otherwise need a newer epoch (safety.md section 4, Active-active)."""
    phase: Phase = Phase.LEARN
    target: str | None = None
    may_serve: frozenset[str] = frozenset()
    fenced: dict[str, Fence] = {}
    owed: dict[str, int] = {}
    acks: dict[str, Ack] = {}
    operation: Operation | None = None
    learning: Learning | None = None
    tallies: dict[str, Tally] = {}
    probe_down: frozenset[str] = frozenset()
    """Whose probe the load balancer was last seen to fail on."""
    advertised: Advertised = Advertised()
    outward: Advertised = Advertised()
    """The same for what they tell their on-premises neighbours."""
    spacing: Spacing | None = None
    overtaken: Spacing | None = None
    """How often in a row agents showed what it cannot explain: once it was put back, or lost; again and again another app with
    our key has a record of its own."""
    pause: Pause | None = None
    drains: dict[str, Drain] = {}
    ready_since: dict[str, Aware] = {}
    """Members that outrank the holder, and since when they are ready; kept only where `preempt` is `ready`."""
    leaving: Leaving | None = None
    """Nothing else is done then (`service.leaving`)."""
    rehearsal: Rehearsal | None = None
    """The last one: in force only while its member is owed for it."""
    stalled: Tally | None = None
    """How many looks in a row made no progress in `learn`, `fencing` or `granted`; at rest, how many showed the holder Down
    by the pool alone."""
    admitted: dict[str, Tally] = {}
    """Unreachable members beside the holder, and how many looks in a row the load balancer's probe of them succeeded."""
    refused: dict[str, Aware] = {}
    """Members that refused to serve, or that have no agent and failed, and when: the last choice for `spacingForget`."""
    last_choices: frozenset[str] = frozenset()
    """Members that the last reading of the load balancer made the last choice, for passes that do not read it: no pool lists
    them, an operator set them to Down, or the probe gets no answer of them."""
    noticed_within: timedelta | None = None
    """How long the load balancer's probe takes at most to find out what a member answers, by its last reading."""
    flaws: tuple[str, ...] = ()
    """Those of the last reading of the load balancer, however old: an acknowledgement alone is no proof then."""
    about: Referents | None = None
    """What its names stood for when it was last at one with the document; None in a record of an older version."""
    rank: Rank | None = None
    """Of a ranked service: what each announcer may announce. None until it is known (`learn`)."""

    @property
    def holder(self) -> str | None:
        """The member that may admit new flows; None while learning or fencing."""
        return self.target if self.phase in (Phase.STABLE, Phase.GRANTED) else None

    @property
    def under_way(self) -> Operation | None:
        """The operation that is not over yet."""
        return None if self.phase is Phase.STABLE else self.operation

    @property
    def is_shared(self) -> bool:
        """Whether two members serve on purpose (`Operation.sharing`)."""
        return self.phase is Phase.FENCING and self.operation is not None and self.operation.sharing

    @property
    def believed(self) -> frozenset[str]:
        """Members that may serve, or whose adminState we have yet to take back; none once the service has left."""
        if self.leaving is not None and self.leaving.done:
            return frozenset()
        return self.may_serve | self.owed.keys()

    @property
    def too_new(self) -> str | None:
        """Why it may only be observed; None if it may be written. What we cannot read, a write of ours would lose."""
        if self.schema > SCHEMA:
            return f"the record's schema {self.schema} is newer than ours: observing only"
        if self.operation is not None and self.operation.kind not in list(Kind):
            return f"a newer version opened the operation ({self.operation.kind}): observing only"
        return None


def unknown(service: str, members: frozenset[str], now: datetime) -> Record:
    """The record where none can be believed: everyone may be serving (safety.md section 2, `learn`)."""
    return Record(service=service, may_serve=members, learning=Learning(since=now))
