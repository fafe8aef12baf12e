"""The ranked kinds inside an operation (safety.md section 3); their pure rules have mutants in `proving.model.ranked_mutants`."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import ACT, DECIDE, GUARD_CASES, GUARDS, OUTRANKED, OUTRANKING

RANKED = (
    Mutant(
        "an order that was refused counts as accepted",
        "ranked: an acknowledgement is the agent's word for that very command",
        ACT,
        "return seen if effect in seen.tried else seen.with_announced(effect.member, effect.turn)",
        "return seen.with_announced(effect.member, effect.turn)",
        (f"{OUTRANKED}::test_an_order_that_nobody_obeyed_moves_nobody",),
    ),
    Mutant(
        "what an announcer accepted is not noted",
        "ranked: acknowledgements are noted by CAS",
        OUTRANKING,
        "        rank = acknowledged(rank, name, turn, at)\n",
        "        rank = rank\n",
        (f"{OUTRANKED}::test_a_dead_holder_is_outranked_in_one_pass_without_the_management_api",),
    ),
    Mutant(
        "an announcer that lost its disk is left silent",
        "ranked: what was lost is told again",
        OUTRANKING,
        "return replace(record, rank=intend(rank, record.epoch, lost, at))",
        "return replace(record, rank=rank)",
        (f"{OUTRANKED}::test_an_announcer_that_lost_its_disk_is_told_again_at_a_newer_turn",),
    ),
    Mutant(
        "a session with one instance is enough",
        "ranked: Established on both instances",
        OUTRANKING,
        "(s := observed.status(name)) is not None and established_on_both(s.sessions)",
        "(s := observed.status(name)) is not None",
        (f"{OUTRANKED}::test_a_survivor_without_a_session_to_both_instances_does_not_take_over",),
    ),
    Mutant(
        "a grant comes before the best path names the target",
        "ranked: the proof is the best path",
        DECIDE,
        "    if lead := best_names(record, target):\n        granted",
        "    if lead := target:\n        granted",
        (f"{OUTRANKED}::test_a_survivor_without_a_session_to_both_instances_does_not_take_over",),
    ),
    Mutant(
        "a holder that nothing reaches keeps its role",
        "table: B down for the holder only, ranked kinds",
        OUTRANKING,
        "    return any(status.sessions.values())\n",
        "    return True\n",
        (f"{OUTRANKED}::test_a_holder_that_announces_itself_without_a_session_is_replaced",),
    ),
    Mutant(
        "a failover waits for the damping window",
        "guard: damping window is over, never for a dead holder",
        GUARDS,
        "    _damping_window_is_over,\n)\nOF_A_DRAIN",
        ")\nOF_AN_OPENING += (_damping_window_is_over,)\nOF_A_DRAIN",
        (f"{GUARD_CASES}::test_a_failover_never_waits_for_the_damping_window",),
    ),
    Mutant(
        "a lost rank is taken for an empty one",
        "ranked: after learn announcers are believed, and nobody else",
        OUTRANKING,
        "    return learned(service.announcers, observed.ordered)\n",
        "    return Rank()\n",
        (f"{OUTRANKED}::test_a_lost_record_is_learned_from_what_announcers_say_and_nobody_is_moved",),
    ),
)
