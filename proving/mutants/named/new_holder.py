"""A new holder and the load balancer's probe: step 6, and what may be of before the grant (ADR 8)."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import (
    DECIDE,
    EVIDENCE,
    FAILOVER,
    HEALTH,
    NEW_HOLDER,
    NEW_HOLDER_CASES,
    PROTOCOL,
    RULES,
)

VERIFYING = (
    Mutant(
        "a granted target that fails is kept",
        "step 6: next candidate with epoch+1",
        DECIDE,
        '    record, target = look.record, look.record.target or ""\n'
        "    if failing := _failover(look):\n        return failing\n",
        '    record, target = look.record, look.record.target or ""\n',
        (f"{RULES}::test_a_granted_target_that_fails_is_followed_by_the_next_candidate",),
    ),
    Mutant(
        "a promotion is verified by the agent alone",
        "step 6: verified once the load balancer agrees",
        NEW_HOLDER,
        "    if seen.balancer is None:\n",
        "    if seen.balancer is None and record.epoch < 0:\n",
        (f"{FAILOVER}::test_a_holder_that_says_it_is_unfit_is_replaced_by_its_acknowledgement_alone",),
    ),
    Mutant(
        "accepted is taken as succeeded by the probe",
        "step 6: reason Up_Probe_Success where ARM answers",
        NEW_HOLDER,
        "(backend is not None and backend.probed is Value.OK)",
        "(backend is not None and backend.reason is not None)",
        (f"{NEW_HOLDER_CASES}::test_a_promotion_is_verified_by_the_probe_alone",),
    ),
    Mutant(
        "what nobody can verify is stable at once",
        "step 6: a fresh holder's probe has time to rise",
        NEW_HOLDER,
        "    if waited.bad <= look.timing.verify_looks:\n",
        "    if waited.bad <= look.timing.verify_looks and reason is not None:\n",
        (
            f"{NEW_HOLDER_CASES}::test_a_promotion_that_nobody_can_verify_is_believed_after_enough_looks_and_never_before",
        ),
    ),
    Mutant(
        "what nobody can verify is held for ever",
        "step 6: ARM may be down for hours",
        NEW_HOLDER,
        "    if waited.bad <= look.timing.verify_looks:\n",
        "    if waited.bad <= look.timing.verify_looks or reason is None:\n",
        (
            f"{NEW_HOLDER_CASES}::test_a_promotion_that_nobody_can_verify_is_believed_after_enough_looks_and_never_before",
        ),
    ),
    Mutant(
        "looks in quick succession end the patience with a new holder",
        "step 6: a fresh holder's probe has time to rise",
        NEW_HOLDER,
        "counted_lately(before, at, look.timing) or ",
        "",
        (f"{NEW_HOLDER_CASES}::test_patience_with_a_new_holder_is_a_number_of_looks_and_no_clock_ends_it",),
    ),
    Mutant(
        "a promotion that was not told is verified",
        "step 6: acked serving at this epoch",
        DECIDE,
        "    if look.role(target) != (record.epoch, Role.SERVING):\n        return _not_serving_yet(look, target, held)\n",
        "",
        (f"{NEW_HOLDER_CASES}::test_a_promotion_that_the_agent_has_not_taken_is_not_verified",),
    ),
    Mutant(
        "an unverified holder is never followed",
        "step 6: not verified after enough looks, next candidate",
        NEW_HOLDER,
        "    if other is None or look.kind is Kind.PROBE:\n",
        "    if other is None or look.kind is not None:\n",
        (f"{NEW_HOLDER_CASES}::test_a_holder_that_is_not_verified_after_enough_looks_is_followed_and_not_before",),
    ),
)

FRESH = (
    Mutant(
        "a failing probe of before moves the service",
        "ADR 8: health tells late, and of before the grant as well",
        DECIDE,
        "        if may_be_of_before(look, holder):\n",
        "        if may_be_of_before(look, holder) and look.kind is None:\n",
        (
            f"{NEW_HOLDER_CASES}::test_the_probe_alone_does_not_move_traffic_from_one_that_may_have_stood_by_when_it_was_seen",
        ),
    ),
    Mutant(
        "a fresh holder's probe is doubted one look too long",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "count < look.timing.verify_looks",
        "count <= look.timing.verify_looks",
        (
            f"{NEW_HOLDER_CASES}::test_the_probe_alone_does_not_move_traffic_from_one_that_may_have_stood_by_when_it_was_seen",
        ),
    ),
    Mutant(
        "a confirmed holder's probe is doubted",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "return is_recent(look) and not confirmed and",
        "return is_recent(look) and",
        (f"{NEW_HOLDER_CASES}::test_the_probe_alone_moves_traffic_from_one_that_it_was_seen_to_find",),
    ),
    Mutant(
        "a holder's probe is doubted for ever",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "return is_recent(look) and not confirmed and",
        "return not confirmed and",
        (f"{NEW_HOLDER_CASES}::test_the_probe_alone_moves_traffic_from_one_that_it_was_seen_to_find",),
    ),
    Mutant(
        "an Up of before confirms a new holder",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "holder in up & record.probe_down",
        "holder in up",
        (f"{NEW_HOLDER_CASES}::test_an_up_confirms_a_new_holder_only_after_its_probe_was_seen_to_fail",),
    ),
    Mutant(
        "a holder is confirmed while its probe fails",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "holder in up & record.probe_down",
        "holder in record.probe_down",
        (f"{NEW_HOLDER_CASES}::test_an_up_confirms_a_new_holder_only_after_its_probe_was_seen_to_fail",),
    ),
    Mutant(
        "a failing probe is remembered after an Up",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "(record.probe_down | down) - up",
        "record.probe_down | down",
        (
            f"{NEW_HOLDER_CASES}::test_a_standby_whose_probe_was_seen_to_fail_is_confirmed_by_its_first_up_as_the_holder",
        ),
    ),
    Mutant(
        "a health that is empty forgets whose probe failed",
        "ADR 8: health tells late, and of before the grant as well",
        NEW_HOLDER,
        "(record.probe_down | down) - up",
        "down",
        (f"{NEW_HOLDER_CASES}::test_a_reading_that_says_nothing_of_a_member_leaves_what_was_known_of_its_probe",),
    ),
    Mutant(
        "a grant confirms whoever it names",
        "ADR 8: health tells late, and of before the grant as well",
        PROTOCOL,
        "confirmed=look.serves(target)",
        "confirmed=True",
        (f"{NEW_HOLDER_CASES}::test_only_a_holder_that_served_already_is_confirmed_by_its_grant",),
    ),
    Mutant(
        "a grant confirms nobody",
        "ADR 8: health tells late, and of before the grant as well",
        PROTOCOL,
        "confirmed=look.serves(target)",
        "confirmed=False",
        (f"{NEW_HOLDER_CASES}::test_only_a_holder_that_served_already_is_confirmed_by_its_grant",),
    ),
    Mutant(
        "a fresh holder's failing probe is counted to fall only",
        "ADR 8: health tells late, and of before the grant as well",
        HEALTH,
        "    enough = max(timing.load_balancer_fall, timing.verify_looks)\n",
        "    enough = timing.load_balancer_fall\n",
        (f"{EVIDENCE}::test_a_count_stops_where_it_decides_nothing_more_so_that_a_lasting_fault_writes_nothing",),
    ),
)
