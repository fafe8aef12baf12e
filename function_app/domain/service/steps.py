"""What Hopkeeper may do to a service: the effects a decision permits, and the decision itself. Values only.

Peerings have their own steps in `domain.peerings`: they are membership, never failover (safety.md, finding 5).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.service.ranked.paths import Path


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a speaker should announce: RFC 4271 NLRI and next hop, own ASN prepended `prepend` extra times."""

    prefix: IPv4Network
    next_hop: IPv4Address
    prepend: int = 0


@dataclass(frozen=True, slots=True)
class SendFence:
    """Tell the agent to stand by; its acknowledgement at the record's epoch is proof F1.

    `seq` orders the role commands of an epoch: should a member ever be commanded both roles, FENCE outranks PROMOTE in any
    order of arrival.
    """

    member: str
    epoch: int
    seq: int = 1


@dataclass(frozen=True, slots=True)
class SendPromote:
    """Tell the agent to serve; only the boot that was looked at may obey."""

    member: str
    epoch: int
    boot_id: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class SendAdvertise:
    """Tell the agent what to announce for this service, all of it."""

    member: str
    epoch: int
    seq: int
    advertisements: tuple[Advertisement, ...]


@dataclass(frozen=True, slots=True)
class OutwardRoutes:
    """What a member announces to its on-premises neighbours, next hop itself: as short as can be while it serves.

    On standby its ASN is prepended `standby_prepend` extra times, or nothing is announced (None). No prefix: nothing at all.
    """

    prefixes: tuple[IPv4Network, ...] = ()
    standby_prepend: int | None = None


NOTHING_OUTWARD = OutwardRoutes()


@dataclass(frozen=True, slots=True)
class SendOutward:
    """Tell the agent what its on-premises neighbours hear by its role: both forms at once, so that no role waits for it."""

    member: str
    epoch: int
    seq: int
    routes: OutwardRoutes


@dataclass(frozen=True, slots=True)
class SendPath:
    """Command an announcer of a ranked service which member to name, and with how long an AS path (`ranked`)."""

    member: str
    epoch: int
    seq: int
    path: Path

    @property
    def turn(self) -> tuple[int, int]:
        return self.epoch, self.seq


@dataclass(frozen=True, slots=True)
class FenceByBalancer:
    """Write adminState Down for the member and prove it (F2).

    `wary`: a lift of an earlier attempt may still be on its way through the data plane; it is waited for first, or
    an older `Down_Admin` would be taken for this one's. `beside_operator`: an operator's Down is seen there, so that this one is
    owed nothing; where that is gone by now, nothing is written. Both are excluded from equality: a failed attempt rules out
    every variant.
    """

    member: str
    epoch: int
    wary: bool = field(default=False, compare=False)
    beside_operator: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class LiftByBalancer:
    """Write adminState None for the member; permissive, so the record is read again just before (finding 9)."""

    member: str
    epoch: int


@dataclass(frozen=True, slots=True)
class AwaitProbe:
    """Wait until the load balancer's probe has found out what the member answers by now: nothing is sent or written.

    Not `up`: it gives the member no new flows any more, although it did when it acknowledged FENCE (safety.md section 2a).
    `within`: by then the probe has found out, whether health shows it or not; None where that is not known.
    """

    member: str
    epoch: int
    up: bool
    within: timedelta | None = field(default=None, compare=False)
    first_counts: bool = False
    """Whether a first reading counts, though it may be older than the last change: where nothing rests on it but speed."""
    failing_after: timedelta = field(default=timedelta(0), compare=False)
    """From then on, where a first reading counts, a probe that has failed once will do: the load balancer still has it up."""


REFUSED = "refused: "
"""What a refusal by an agent begins with among the effects that were `tried`; all else is that it did not answer."""

type Effect = (
    SendFence | SendPromote | SendAdvertise | SendOutward | SendPath | FenceByBalancer | LiftByBalancer | AwaitProbe
)
