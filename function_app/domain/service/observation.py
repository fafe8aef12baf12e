"""What was just read: agents' answers, the load balancer, and what came of the effects of this pass.

A missing reading is UNKNOWN and UNKNOWN is never BAD (safety.md section 4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address

from function_app.domain.service.ranked.paths import PathOrder
from function_app.domain.service.steps import NOTHING_OUTWARD, Advertisement, AwaitProbe, Effect, OutwardRoutes
from function_app.domain.topology.model import AND


class Value(StrEnum):
    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """The HA role that an agent holds for one service."""

    SERVING = "serving"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class AgentService:
    """One service as an agent sees itself in it; `answering` is what its probe says right now."""

    epoch: int
    seq: int
    role: Role
    answering: bool
    advertised: tuple[Advertisement, ...] | None = None
    heard: int = 0
    """The highest epoch that it received from its peers."""
    advertised_turn: tuple[int, int] = (0, 0)
    """The (epoch, seq) at which that was ordered."""
    outward: OutwardRoutes = NOTHING_OUTWARD
    """What it announces to its on-premises neighbours by its role."""
    outward_turn: tuple[int, int] = (0, 0)
    durable: bool = True
    """Whether epoch, seq and role are on its disk: what is only in effect acknowledges nothing (R7)."""
    warranted: int = 0
    """The highest epoch of which it shows our own signed command, its own or a peer's (safety.md finding 16)."""
    unconfirmed: bool = False
    """Its machine has booted since it served, and it answers 503 until PROMOTE confirms its role (safety.md section 2b)."""
    unsent: str = ""
    """Why Route Servers are not sent just what `advertised` says; empty where they are."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """How one agent sees another: its heartbeats, and its probe port tried once they stopped."""

    gossip: Value
    probe: Value
    age: timedelta | None = None
    """How long ago its last heartbeat was; None where that is not known."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent's signed answer."""

    boot_id: str
    clock: datetime
    services: Mapping[str, AgentService]
    fatal: tuple[str, ...] = ()
    peers: Mapping[str, PeerView] = field(default_factory=dict)
    sessions: Mapping[IPv4Address, bool] = field(default_factory=dict)
    version: str = ""
    maintenance: str | None = None
    """What the platform is about to do to the machine, and not before when (Azure Scheduled Events)."""
    hold_time: timedelta | None = None
    """After which its sessions with Route Servers end in silence, the longest of them; None where it does not report one."""
    outward_sessions: Mapping[IPv4Address, bool] = field(default_factory=dict)
    """With its on-premises neighbours: apart, for they say nothing of what a Route Server hears."""
    excused: tuple[str, ...] = ()
    """Failing checks in spite of which it goes on answering, as every member fails them."""
    alarms: tuple[str, ...] = ()
    """Failing checks that are not fatal, such as settings of its speaker that would defeat a failover."""
    unseen: bool = False
    """Its BGP sessions are the Route Server's to show: the operator's own configuration announces, and no agent sees it."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An agent that did not answer, and why. Never a proof of anything (safety.md section 2, proofs)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Appliance:
    """A member without an agent: no command reaches it, and it answers its probe whenever it is well, so that only its
    adminState keeps new flows from it (safety.md section 4a)."""

    reached: Value = Value.UNKNOWN
    """Whether the app's own check of it succeeds, where a slow look made one."""


@dataclass(frozen=True, slots=True)
class NotAwaited:
    """An agent whose answer this look did not wait for (`needed`): nothing follows from that. It is not silent, not failed, and
    not known to be well."""


type AgentReading = AgentStatus | Unreachable
type MemberReading = AgentReading | Appliance | NotAwaited


class AdminState(StrEnum):
    """`adminState` of a backend address. `UP` is never written: it makes the load balancer ignore the probe."""

    NONE = "None"
    UP = "Up"
    DOWN = "Down"


@dataclass(frozen=True, slots=True)
class Backend:
    """A member in the backend pool: its adminState, and the reason code of the rule's health action if there is one."""

    admin_state: AdminState
    reason: str | None = None
    address: str = ""
    """Which one it is: the id of its pool and its name there, in lower case; empty where the reading does not say. Of a
    service behind several pools all of them, joined by `AND`."""
    also: tuple[str | None, ...] = ()
    """The reasons of the other pools that list it."""
    partly_down: bool = False
    """Whether it is Down in one of them and not in another."""
    partly_unlisted: bool = False
    """Whether a pool of the service does not list it."""

    @property
    def probed(self) -> Value:
        """What the probe says: reasons that reflect our own adminState say nothing about the member (finding 7)."""
        return _probed(self.reason)

    @property
    def is_up_everywhere(self) -> bool:
        """Whether the probe of every pool that lists it succeeds, the last time as well."""
        return all(_probed(reason) is Value.OK and reason != FAILING for reason in (self.reason, *self.also))

    @property
    def is_shown_down(self) -> bool:
        """Whether health does not contradict a Down, of one pool that lists it at least: it names an adminState, or nothing."""
        return any(_probed(reason) is Value.UNKNOWN for reason in (self.reason, *self.also))

    @property
    def is_named_down(self) -> bool:
        """Whether health names an adminState, of one pool that lists it at least."""
        return any(reason is not None and _probed(reason) is Value.UNKNOWN for reason in (self.reason, *self.also))

    @property
    def least(self) -> str | None:
        """Of the reasons of all its pools the one that says least for it: one that is missing, then one that is not up."""
        reasons = (self.reason, *self.also)
        return None if None in reasons else min(filter(None, reasons), key=lambda reason: reason.startswith("Up_"))

    @property
    def path(self) -> Value:
        """Whether the probe gets an answer at all: a status that is not 200 came from the member itself."""
        answered = self.reason is not None and "_HttpStatus" in self.reason
        return Value.OK if answered else self.probed


FAILING = "Up_Probe_ApproachingUnhealthyThreshold"
"""The last probe failed, and not as many in a row as it takes: it gets new flows still."""


def _probed(reason: str | None) -> Value:
    if reason is None or "_Probe_" not in reason:
        return Value.UNKNOWN
    return Value.OK if reason.startswith("Up_") else Value.BAD


ABSENT = "in no pool"
"""In place of `Backend.address`: where a member was proven to get no new flows as no pool lists it."""


@dataclass(frozen=True, slots=True)
class BalancerReading:
    """The service's load balancer as ARM shows it, or all of them as one (`in_every_pool`)."""

    etag: str
    frontend: IPv4Address
    backends: Mapping[str, Backend]
    noticed_within: timedelta | None = None
    """How long its probe takes at most to find out that a member answers differently; None where ARM does not tell."""
    complete: bool = True
    """Whether it is known of every address of the pool which member it is, or that it is none."""
    strangers: frozenset[str] = frozenset()
    """Every other address of the pool that is not Down (as `Backend.address`): no member of the service."""
    flaws: tuple[str, ...] = ()
    """Why what a member answers does not decide alone whether it gets new flows (`provable.flaws`)."""
    elsewhere: frozenset[str] = frozenset()
    """Members that the pool does not list and that may get new flows from another pool of the load balancer."""
    unjoined: str = ""
    """What is missing where no rule joins pool and probe: nothing shows then whether a Down, or its end, has arrived."""
    pools: tuple["BalancerReading", ...] = ()
    """Of a service behind several pools: what each of them showed, the next hop's first. For words alone: what a pass proves
    later changes the whole and not these."""

    @property
    def each_pool(self) -> tuple["BalancerReading", ...]:
        """What each pool showed, where there is one as well."""
        return self.pools or (self,)

    def hides(self, member: str) -> str | None:
        """Why it proves nothing that a pool does not list the member: an address there, or another pool, may be its own. None
        where it is a proof."""
        if self.strangers:
            return f"the pool holds addresses that are no member's: {', '.join(sorted(self.strangers))}"
        if member in self.elsewhere:
            return f"another pool with rules holds {member}"
        return None if self.complete else "it is not known of every address of the pool which member it is"

    def contradicts(self, member: str, address: str) -> bool:
        """Whether it shows the member, or the address at which its Down was proven, without that Down (safety.md
        section 2b). What the pool does not list gets no flows, as if it were Down."""
        backend, proven = self.backends.get(member), set(address.split(AND))
        if address == ABSENT:
            return backend is not None or bool(self.strangers) or member in self.elsewhere
        if backend is None:
            return not proven.isdisjoint(self.strangers)
        shown = set(backend.address.split(AND))
        moved = not shown <= proven and "" not in (address, backend.address)
        return moved or backend.admin_state is not AdminState.DOWN or not proven.isdisjoint(self.strangers)


def in_every_pool(readings: Sequence[BalancerReading]) -> BalancerReading:
    """What the pools of one service show together, the next hop's first: a member is Down only if it is in every pool that
    lists it, and up if any has it up (safety.md section 2b)."""
    if len(readings) == 1:
        return readings[0]
    first, *_ = readings
    etag = AND.join(reading.etag for reading in readings)
    noticed = [reading.noticed_within for reading in readings if reading.noticed_within is not None]
    within = max(noticed) if len(noticed) == len(readings) else None
    complete = all(reading.complete for reading in readings)
    strangers = frozenset[str]().union(*(reading.strangers for reading in readings))
    flaws = tuple(flaw for reading in readings for flaw in reading.flaws)
    elsewhere = frozenset[str]().union(*(reading.elsewhere for reading in readings))
    return BalancerReading(
        etag,
        first.frontend,
        _backends(readings),
        within,
        complete,
        strangers,
        flaws,
        elsewhere,
        _unjoined(readings),
        tuple(readings),
    )


def _unjoined(readings: Sequence[BalancerReading]) -> str:
    missing = [reading.unjoined for reading in readings]
    return "; ".join(missing) if all(missing) else ""


def _backends(readings: Sequence[BalancerReading]) -> dict[str, Backend]:
    shown: dict[str, list[Backend]] = {}
    for reading in readings:
        for name, backend in reading.backends.items():
            shown.setdefault(name, []).append(backend)
    return {name: _backend(each, partly_unlisted=len(each) < len(readings)) for name, each in shown.items()}


def _backend(shown: Sequence[Backend], partly_unlisted: bool) -> Backend:
    """One member as these pools list it."""
    states = {backend.admin_state for backend in shown}
    reasons = sorted((backend.reason for backend in shown), key=_weight)
    return Backend(
        min(states, key=(AdminState.UP, AdminState.NONE, AdminState.DOWN).index),
        reasons[0],
        joined(backend.address for backend in shown),
        also=tuple(reasons[1:]),
        partly_down=AdminState.DOWN in states and len(states) > 1,
        partly_unlisted=partly_unlisted,
    )


def _weight(reason: str | None) -> int:
    """What decides first where pools differ: up; not known; the path of the probe; its answer; our own adminState."""
    if reason is None:
        return 1
    if reason.startswith("Up_"):
        return 0
    return 4 if "_Probe_" not in reason else 3 if "_HttpStatus" in reason else 2


def joined(addresses: Iterable[str]) -> str:
    """Addresses in several pools as one; empty where one of them is not known."""
    known = tuple(addresses)
    return AND.join(known) if all(known) else ""


@dataclass(frozen=True, slots=True)
class FenceProof:
    """F2: our own conditional write of Down, in this operation, seen in the control plane and in the data plane."""

    epoch: int
    etag: str
    address: str = ""
    """`Backend.address` of what was written."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at one service. `balancer` is None when it was not requested, a string (why) when it could not be read."""

    at: datetime
    agents: Mapping[str, MemberReading]
    balancer: BalancerReading | str | None = None
    record_etag: str | None = None
    """Of the record that stood before the load balancer was read: only with that one can it tell whose a Down is."""
    proofs: Mapping[str, FenceProof] = field(default_factory=dict)
    lifted: Mapping[str, int] = field(default_factory=dict)
    """Members taken back into the pool in this pass, and the epoch of that: like a proof it counts in no other."""
    awaited: frozenset[AwaitProbe] = frozenset()
    """What this pass has waited for until it was so."""
    ordered: Mapping[str, PathOrder] = field(default_factory=dict)
    """Of a ranked service: what each announcer that answers says it was last ordered."""
    connected: Mapping[str, bool] = field(default_factory=dict)
    """Of a ranked service: whether Route Servers show a session with an announcer; left out where that is not known."""
    contested: tuple[str, ...] | None = None
    """Of a ranked service: why its holder's path may not be the best one, whatever we order; None where that was not read."""
    announced: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of a ranked service: the (epoch, seq) of the order that an announcer accepted in this pass."""
    tried: Mapping[Effect, str] = field(default_factory=dict)
    """Effects of this pass that did not succeed, and why: not tried again before the next look."""

    def status(self, member: str) -> AgentStatus | None:
        reading = self.agents.get(member)
        return reading if isinstance(reading, AgentStatus) else None

    def service(self, member: str, service: str) -> AgentService | None:
        """What `member` reports of itself in `service`; a fit agent that does not know the service stands by at epoch 0."""
        status = self.status(member)
        if status is None:
            return None
        return status.services.get(service, AgentService(0, 0, Role.STANDBY, answering=False))

    def serves(self, member: str, service: str) -> bool:
        """Whether its agent says that it serves, at whichever epoch."""
        mine = self.service(member, service)
        return mine is not None and mine.role is Role.SERVING

    def is_not_awaited(self, member: str) -> bool:
        """Whether this look goes on without its agent's answer, which may be on its way."""
        return isinstance(self.agents.get(member), NotAwaited)

    def backend(self, member: str) -> Backend | None:
        return self.balancer.backends.get(member) if isinstance(self.balancer, BalancerReading) else None

    def with_agent(self, member: str, reading: MemberReading) -> "Observed":
        return replace(self, agents={**self.agents, member: reading})

    def with_proof(self, member: str, proof: FenceProof) -> "Observed":
        """The older reading of its backend is dropped: the proof is newer, and would look undone."""
        proven = replace(self, proofs={**self.proofs, member: proof})
        return proven._with_backend(member, Backend(AdminState.DOWN, address=proof.address))

    def with_lifted(self, member: str, epoch: int) -> "Observed":
        """The older reading of its backend is dropped: our own Down in it would look like an operator's."""
        return replace(self, lifted={**self.lifted, member: epoch})._with_backend(member, Backend(AdminState.NONE))

    def _with_backend(self, member: str, backend: Backend) -> "Observed":
        if not isinstance(self.balancer, BalancerReading) or member not in self.balancer.backends:
            return self
        backends = {**self.balancer.backends, member: backend}
        return replace(self, balancer=replace(self.balancer, backends=backends))

    def after(self, earlier: "Observed") -> "Observed":
        """This look, with what the pass has proven since an earlier one; its failures may be tried again, but for waits."""
        waited: dict[Effect, str] = {
            effect: why for effect, why in earlier.tried.items() if isinstance(effect, AwaitProbe)
        }
        return replace(
            self,
            proofs={**earlier.proofs, **self.proofs},
            lifted={**earlier.lifted, **self.lifted},
            awaited=earlier.awaited | self.awaited,
            announced={**earlier.announced, **self.announced},
            tried={**waited, **self.tried},
        )

    def with_announced(self, announcer: str, turn: tuple[int, int]) -> "Observed":
        return replace(self, announced={**self.announced, announcer: turn})

    def with_awaited(self, wait: AwaitProbe) -> "Observed":
        return replace(self, awaited=self.awaited | {wait})

    def with_tried(self, effect: Effect, why: str) -> "Observed":
        return replace(self, tried={**self.tried, effect: why})
