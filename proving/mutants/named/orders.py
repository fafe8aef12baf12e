"""What operators order: refused, bounded, and never past a fence."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import DECIDE, OPERATE, OPERATING, ORDERS, RULES, SERVICES

ORDERED = (
    Mutant(
        "an order is written over a newer record",
        "law: a newer record is only observed",
        ORDERS,
        "    if record.too_new:\n        return _refused(look, record.too_new)\n",
        "",
        (f"{OPERATING}::test_no_order_is_written_over_a_record_of_a_newer_schema",),
    ),
    Mutant(
        "a pause may lie in the past",
        "pause: with expiry",
        ORDERS,
        '            if order.until <= at:\n                return _refused(look, "a pause must end in the future")\n',
        "",
        (f"{RULES}::test_a_pause_ends_in_the_future",),
    ),
    Mutant(
        "a drain is never refused",
        "guard: minimum stays healthy",
        ORDERS,
        "    if refusals := refuse(Draining(order.member), context):\n        return _refused(look, *map(str, refusals))\n",
        "",
        (f"{OPERATING}::test_draining_the_only_healthy_member_is_refused",),
        also=(("context = ServiceContext(", "_ = ServiceContext("),),
    ),
    Mutant(
        "a service is moved while it is learned",
        "S11: no effects while learning",
        ORDERS,
        "    if record.phase is Phase.LEARN:\n",
        "    if record.phase is Phase.LEARN and record.epoch < 0:\n",
        (f"{RULES}::test_nothing_is_moved_while_learning_to_a_failed_member_or_amid_an_operation",),
    ),
    Mutant(
        "a switchover is begun in the middle of an operation",
        "S12: one operation per service",
        ORDERS,
        "        if record.phase is not Phase.STABLE:\n",
        "        if record.phase is Phase.LEARN:\n",
        (f"{RULES}::test_nothing_is_moved_while_learning_to_a_failed_member_or_amid_an_operation",),
    ),
    Mutant(
        "a failover by hand goes to a member that failed",
        "failover by hand: skips evidence of the holder only",
        ORDERS,
        "    if look.role(target) is None or look.failed(target):\n",
        "    if target not in look.members:\n",
        (f"{RULES}::test_nothing_is_moved_while_learning_to_a_failed_member_or_amid_an_operation",),
    ),
    Mutant(
        "a failover by hand needs no fence",
        "failover by hand: never skips fencing",
        DECIDE,
        "    if not unproven(look):\n",
        "    if look.kind is Kind.FORCED or not unproven(look):\n",
        (f"{OPERATING}::test_a_failover_by_hand_skips_evidence_but_never_fencing",),
    ),
    Mutant(
        "an order of no length lasts for ever",
        "pause and drain: with expiry",
        OPERATE,
        "or not 0 < minutes <= UNTIL_MAX.total_seconds() / 60",
        "or not 0 < minutes",
        (f"{RULES}::test_an_order_lasts_more_than_nothing_and_at_most_thirty_days",),
    ),
    Mutant(
        "an order passes the guards",
        "guards: every opening passes them",
        SERVICES,
        "    if opened is not None and (before is None or opened.id != before.id):\n",
        "    if opened is not None and (before is None or opened.id != before.id) and not order:\n",
        (f"{OPERATING}::test_a_switchover_to_a_member_that_is_not_ready_is_refused_and_changes_nothing",),
    ),
)
