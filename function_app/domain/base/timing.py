"""Every duration and count that Hopkeeper works with: one table, each a setting of the topology (`timing:`).

The defaults are those of docs/topology.md; a number that Azure decides is a setting too, never a literal elsewhere.
"""

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from function_app.domain.base.azure_limits import PEERS_MAX, PREFIXES_PER_PEER
from function_app.domain.base.errors import Problem

ONE_VOICE = timedelta(seconds=2)
"""What `silence` is at least where a single agent or witness watches a member without an agent."""
COUNT_MAX = 10_000
DURATION_MAX = timedelta(days=30)
"""Beyond these a number is a slip of the hand, and sums of it are no numbers."""
CLOCK_LEEWAY = timedelta(seconds=5)
"""By how much an agent's clock and ours may differ before its reports are refused."""


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Durations are ISO 8601 in the document (`PT0.1S`), counts are whole numbers."""

    gossip_period: timedelta = timedelta(milliseconds=100)
    """Between two heartbeats of agents; at least `PT0.02S`."""
    gossip_fall: int = 3
    """Missed heartbeats until a peer counts as unreachable."""
    silence: timedelta = timedelta(seconds=2)
    """Behind a load balancer: for how long peers must miss a member before that is evidence. A move costs more than that."""
    sweep: timedelta = timedelta(seconds=60)
    """Between two passes without any other cause; at most `PT15M`."""
    observe_fast: timedelta = timedelta(seconds=1)
    """How long a fast pass waits for agents."""
    observe_slow: timedelta = timedelta(seconds=8)
    """How long a slow pass waits for the load balancer; it must cover the rule's health action."""
    command_timeout: timedelta = timedelta(seconds=2)
    """For one command to an agent; `gossipFall` x `gossipPeriod` for a member that its peers report as failed."""
    doubt_poll: timedelta = timedelta(seconds=10)
    """How soon to look again while something is in doubt: the load balancer's health poll."""
    fence_timeout: timedelta = timedelta(seconds=60)
    """The whole fence through the load balancer: write, read back, `Down_Admin`."""
    fence_settle: timedelta = timedelta(seconds=30)
    """Waited in place of `Down_Admin` where the health action stays empty (safety.md, F2)."""
    learn_for: timedelta = timedelta(seconds=60)
    """How long a service without a record is only observed."""
    learn_rounds: int = 2
    """Complete looks before `learn` ends."""
    ready_for: timedelta = timedelta(seconds=60)
    """How long a returning member must have been ready."""
    check_period: timedelta = timedelta(seconds=1)
    """Of the agents' self-checks; they are configured on the NVA, and only the bounds are computed from it here."""
    check_fall: int = 3
    """Failed self-checks until the agent reports it."""
    spacing_step: timedelta = timedelta(seconds=10)
    """What the second automatic failover in a row waits, the third twice as long, up to `spacing_max`. Also the least
    time between two orders that move a service."""
    spacing_max: timedelta = timedelta(minutes=10)
    """The longest wait between automatic failovers in a row."""
    spacing_forget: timedelta = timedelta(hours=1)
    """Quiet time after which none is waited."""
    load_balancer_fall: int = 2
    """Looks in a row at which the load balancer's probe must fail."""
    load_balancer_rise: int = 2
    """Looks in a row at which it must succeed."""
    operation_deadline: timedelta = timedelta(seconds=120)
    """How long learning, fencing or a promotion may make no progress, counted in looks `doubtPoll` apart."""
    verify_every: timedelta = timedelta(seconds=300)
    """How often learned, advertised and effective routes are requested: each request costs a write token."""
    verify_budget: int = 60
    """Most questions of verification within `verify_every`; the other write tokens are left for fencing."""
    damping: timedelta = timedelta(seconds=30)
    """A Route Server programs a prefix at most once in this time (azure-facts.md section 2): moves that are
    not urgent now wait for it, a failover never does."""
    bgp_hold: timedelta = timedelta(seconds=180)
    """The hold time that was negotiated: by then a path that a session did not take back is gone."""
    route_programming: timedelta = timedelta(seconds=6)
    """From an UPDATE to the routes of virtual machines; only the bounds are computed from it."""
    peers_max: int = PEERS_MAX
    """Peers of a Route Server."""
    peering_swap: timedelta = timedelta(seconds=165)
    """One delete and one create of a peering (azure-facts.md section 1): what an exchange at eight of eight exposes."""
    peering_delete_spacing: timedelta = timedelta(minutes=10)
    """Between two deletes of working peerings of one Route Server (safety.md section 5)."""
    prefixes_per_peer: int = PREFIXES_PER_PEER
    """Azure's limits page; what is held and an UPDATE that comes in count together (azure-facts.md section 2)."""

    @property
    def look_lasts(self) -> timedelta:
        """How long a new operation may be decided on one look; the effects of one take longer, and then look again."""
        return self.observe_slow + self.command_timeout

    @property
    def verify_looks(self) -> int:
        """How many looks a new holder is left for the load balancer's probe to find it: a deadline's worth of them."""
        return max(self.operation_deadline // self.doubt_poll, 1)

    @property
    def slow_pass_lease(self) -> timedelta:
        """How long one slow pass keeps others away: its looks are over by then, and effects need no turn."""
        return self.observe_slow * 2

    @property
    def dead_member_timeout(self) -> timedelta:
        """How long a member that its peers report dead is still waited for."""
        return self.gossip_period * self.gossip_fall


SWEEP_MAX = timedelta(minutes=15)
"""The longest time that a change may go without any look."""
GOSSIP_LEAST = timedelta(milliseconds=20)
"""The shortest that an agent takes (`nva_agent/hopkeeper_agent/peers.py`)."""


def broken_laws(timing: Timing) -> Iterator[Problem]:
    """The laws between settings: a topology that breaks one is refused when it is loaded."""
    beyond = tuple(_beyond_all_sense(timing))
    yield from beyond or _broken_between(timing)


def _beyond_all_sense(timing: Timing) -> Iterator[Problem]:
    """What cannot be reckoned with."""
    for field in msgspec.structs.fields(timing):
        value, path = getattr(timing, field.name), f"$.timing.{field.encode_name}"
        if isinstance(value, timedelta) and abs(value) > DURATION_MAX:
            yield Problem(path, f"must be at most P{DURATION_MAX.days}D")
        if isinstance(value, int) and abs(value) > COUNT_MAX:
            yield Problem(path, f"must be at most {COUNT_MAX}")


def _broken_between(timing: Timing) -> Iterator[Problem]:
    def must(holds: bool, name: str, rule: str) -> Iterator[Problem]:
        if not holds:
            yield Problem(f"$.timing.{name}", rule)

    positive = [
        "gossip_period", "sweep", "observe_fast", "observe_slow", "command_timeout", "doubt_poll", "fence_timeout",
        "operation_deadline", "verify_every", "check_period", "spacing_forget", "bgp_hold",
        "peering_swap", "peering_delete_spacing",
    ]  # fmt: skip
    for name in positive:
        yield from must(getattr(timing, name) > timedelta(0), msgspec_name(name), "must be longer than zero")
    for name in (
        "gossip_fall",
        "learn_rounds",
        "load_balancer_fall",
        "load_balancer_rise",
        "prefixes_per_peer",
        "check_fall",
        "verify_budget",
    ):
        yield from must(getattr(timing, name) >= 1, msgspec_name(name), "must be at least 1")
    yield from must(1 <= timing.peers_max <= PEERS_MAX, "peersMax", f"a Route Server takes at most {PEERS_MAX} peers")
    yield from must(
        timing.dead_member_timeout <= timing.command_timeout,
        "gossipFall",
        "gossipFall x gossipPeriod must not be longer than commandTimeout",
    )
    yield from must(
        timedelta(0) <= timing.silence <= timing.sweep, "silence", "must be at least zero, and not longer than sweep"
    )
    yield from must(
        timing.dead_member_timeout <= timing.observe_fast,
        "observeFast",
        "must not be shorter than gossipFall x gossipPeriod, or no peer can be judged within one look",
    )
    yield from must(timing.spacing_step <= timing.spacing_max, "spacingMax", "must not be shorter than spacingStep")
    yield from must(timing.observe_fast <= timing.observe_slow, "observeSlow", "must not be shorter than observeFast")
    yield from must(
        timing.fence_settle < timing.fence_timeout, "fenceTimeout", "must be longer than fenceSettle, or F2 never ends"
    )
    yield from must(
        timing.command_timeout + timing.fence_timeout <= timing.operation_deadline,
        "operationDeadline",
        "must cover commandTimeout and fenceTimeout",
    )


def out_of_range(timing: Timing) -> Iterator[Problem]:
    """Settings with which nothing is noticed in time, or that no agent takes."""
    if timing.sweep > SWEEP_MAX:
        yield Problem("$.timing.sweep", f"is longer than {SWEEP_MAX.total_seconds():g} s: nothing looks meanwhile")
    if timing.gossip_period < GOSSIP_LEAST:
        yield Problem(
            "$.timing.gossipPeriod", f"is shorter than {GOSSIP_LEAST.total_seconds():g} s, which no agent takes"
        )


def msgspec_name(field: str) -> str:
    """The document's spelling of a field: `gossip_fall` is written `gossipFall`."""
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)
