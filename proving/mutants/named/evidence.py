"""The evidence table (safety.md section 4): each row's verdict turned round, and each way to misread a source."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import (
    EVIDENCE,
    FAILOVER,
    HEALTH,
    LEARN_CASES,
    OBSERVATION,
    RULES,
)

_TURNED = (
    ("FATAL", "FAILED", "HEALTHY"),
    ("PROBE_DOWN", "FAILED", "UNKNOWN"),
    ("FIT", "HEALTHY", "FAILED"),
    ("FIT_UNHEARD", "HEALTHY", "FAILED"),
    ("PATH_BROKEN", "UNKNOWN", "FAILED"),
    ("SILENT", "FAILED", "UNKNOWN"),
    ("SILENT_PROBE_DOWN", "FAILED", "UNKNOWN"),
    ("SILENT_UNTOLD", "UNKNOWN", "FAILED"),
)

# What each row means is said once more where it is acted on: a verdict alone that changes must be noticed there.
ROWS = tuple(
    Mutant(
        f"row {row} is {wrong.lower()}",
        f"row: {row}",
        HEALTH,
        f"    Row.{row}: Verdict.{right},\n",
        f"    Row.{row}: Verdict.{wrong},\n",
        (EVIDENCE, RULES, LEARN_CASES, FAILOVER),
    )
    for row, right, wrong in _TURNED
)


READINGS = (
    Mutant(
        "an agent that calls itself unfit is believed fit",
        "row: FATAL",
        HEALTH,
        "case AgentStatus(fatal=fatal) if fatal:",
        "case AgentStatus(fatal=fatal) if len(fatal) > 1:",
        (f"{EVIDENCE}::test_each_row_is_told_apart",),
    ),
    Mutant(
        "one peer's ear is enough only on both ways",
        "row: PATH_BROKEN",
        HEALTH,
        "if any(v.gossip is Value.OK or v.probe is Value.OK for v in views):",
        "if any(v.gossip is Value.OK and v.probe is Value.OK for v in views):",
        (f"{EVIDENCE}::test_each_row_is_told_apart",),
    ),
    Mutant(
        "one peer that misses it outweighs all others",
        "P: BAD only if every peer that can tell says so",
        HEALTH,
        "if views and all(v.gossip is Value.BAD and v.probe is Value.BAD for v in views):",
        "if any(v.gossip is Value.BAD and v.probe is Value.BAD for v in views):",
        (f"{EVIDENCE}::test_a_silent_member_failed_only_where_every_peer_misses_it_on_both_ways",),
    ),
    Mutant(
        "missed heartbeats alone are enough",
        "row: SILENT, gossip and probe port",
        HEALTH,
        "if views and all(v.gossip is Value.BAD and v.probe is Value.BAD for v in views):",
        "if views and all(v.gossip is Value.BAD for v in views):",
        (f"{EVIDENCE}::test_a_silent_member_failed_only_where_every_peer_misses_it_on_both_ways",),
    ),
    Mutant(
        "a peer that cannot tell counts as one that misses it",
        "UNKNOWN is never BAD",
        HEALTH,
        "if views and all(v.gossip is Value.BAD and v.probe is Value.BAD for v in views):",
        "if views and all(v.gossip is not Value.OK and v.probe is not Value.OK for v in views):",
        (f"{EVIDENCE}::test_a_silent_member_failed_only_where_every_peer_misses_it_on_both_ways",),
    ),
    Mutant(
        "no peers at all count as peers that miss it",
        "UNKNOWN is never BAD",
        HEALTH,
        "if views and all(v.gossip is Value.BAD",
        "if all(v.gossip is Value.BAD",
        (f"{EVIDENCE}::test_each_row_is_told_apart",),
    ),
    Mutant(
        "one look counts as often as it is decided on",
        "fall: one look counts once",
        HEALTH,
        "    if previous is not None and counted_lately(previous, now, timing):\n        return previous\n",
        "",
        (f"{EVIDENCE}::test_one_look_counts_once_however_often_it_is_decided_on",),
    ),
    Mutant(
        "looks in quick succession count as often",
        "fall: counted in the source's own period",
        HEALTH,
        "timedelta(0) <= now - previous.at < timing.doubt_poll",
        "previous.at == now",
        (f"{EVIDENCE}::test_looks_count_in_the_probes_own_period_however_often_somebody_looks",),
    ),
    Mutant(
        "a count by a clock that was ahead stands still",
        "fall: a time that is still to come was written by a clock that was wrong",
        HEALTH,
        "timedelta(0) <= now - previous.at < timing.doubt_poll",
        "now - previous.at < timing.doubt_poll",
        (f"{EVIDENCE}::test_a_count_by_a_clock_that_was_ahead_holds_nothing_up",),
    ),
    Mutant(
        "an unknown probe counts as a failed one",
        "UNKNOWN is never BAD",
        HEALTH,
        "        case Value.UNKNOWN:\n            return previous\n",
        "        case Value.UNKNOWN:\n            return Tally(bad=(previous.bad if previous else 0) + 1, at=now)\n",
        (f"{EVIDENCE}::test_a_count_ends_after_rise_good_looks_and_unknown_leaves_it",),
    ),
    Mutant(
        "an unknown probe ends the count",
        "UNKNOWN is no word for or against",
        HEALTH,
        "        case Value.UNKNOWN:\n            return previous\n",
        "        case Value.UNKNOWN:\n            return None\n",
        (f"{EVIDENCE}::test_a_count_ends_after_rise_good_looks_and_unknown_leaves_it",),
    ),
    Mutant(
        "one failed probe is enough",
        "fall: counted in the source's own period",
        HEALTH,
        "down_by_probe = probed is Value.BAD and count is not None and count.bad >= timing.load_balancer_fall",
        "down_by_probe = probed is Value.BAD and count is not None and count.bad >= timing.load_balancer_fall - 1",
        (f"{EVIDENCE}::test_a_probe_that_failed_once_is_only_a_doubt_and_the_grant_is_sent_again",),
    ),
    Mutant(
        "an old count is enough without a look",
        "stale is UNKNOWN",
        HEALTH,
        "down_by_probe = probed is Value.BAD and count is not None and count.bad >= timing.load_balancer_fall",
        "down_by_probe = count is not None and count.bad >= timing.load_balancer_fall",
        (f"{EVIDENCE}::test_a_failure_that_nobody_sees_any_more_is_no_failure",),
    ),
    Mutant(
        "one good probe ends the doubt",
        "rise: good ones in a row",
        HEALTH,
        "case Value.OK if previous is not None and previous.good + 1 < timing.load_balancer_rise:",
        "case Value.OK if previous is not None and previous.good + 2 < timing.load_balancer_rise:",
        (f"{EVIDENCE}::test_a_count_ends_after_rise_good_looks_and_unknown_leaves_it",),
    ),
    Mutant(
        "a standby's 503 speaks against it",
        "row: PROBE_DOWN, of one that serves",
        HEALTH,
        "case AgentStatus() if down_by_probe and observed.serves(member, record.service):",
        "case AgentStatus() if down_by_probe and observed.service(member, record.service):",
        (f"{EVIDENCE}::test_a_503_speaks_only_against_one_that_serves",),
    ),
    Mutant(
        "a reason that mirrors our own Down is taken for a probe's",
        "finding 7: never a bare Up or Down",
        OBSERVATION,
        'if self.reason is None or "_Probe_" not in self.reason:',
        "if self.reason is None:",
        (f"{EVIDENCE}::test_our_own_down_says_nothing_about_the_member",),
    ),
)
