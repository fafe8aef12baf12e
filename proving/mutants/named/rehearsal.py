"""The fence rehearsal: what it notes, whom it never touches, and that it ends (`domain/service/rehearsal.py`)."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import DECIDE

REHEARSAL = "function_app/domain/service/rehearsal.py"
REHEARSED = "tests/unit/reconcile/test_rehearsal.py"
INTERRUPTED = "tests/unit/reconcile/test_rehearsal_interrupted.py"
REFUSED = f"{REHEARSED}::test_it_is_refused_and_nothing_is_written_for"

REHEARSALS = (
    Mutant(
        "a rehearsal leaves no note",
        "ADR 1: owed is written before Down",
        REHEARSAL,
        "    owing = replace(look.record, owed={**look.record.owed, chosen: epoch}, rehearsal=rehearsal)\n",
        "    owing = replace(look.record, rehearsal=rehearsal)\n",
        (f"{REHEARSED}::test_a_standby_is_fenced_proven_and_taken_back_and_the_record_is_as_before",),
    ),
    Mutant(
        "a rehearsal does not say that it is one",
        "rehearsal: others leave its member alone",
        REHEARSAL,
        "    rehearsal = Rehearsal(member=chosen, epoch=epoch, until=until)\n",
        "    rehearsal = None\n",
        (f"{INTERRUPTED}::test_other_passes_leave_the_member_alone_until_it_is_over",),
    ),
    Mutant(
        "a rehearsal begins in the middle of an operation",
        "rehearsal: never while an operation is open",
        REHEARSAL,
        "    if record.phase is not Phase.STABLE or holder is None:\n",
        "    if holder is None:\n        holder = record.target or ''\n    if False:\n",
        (REFUSED,),
    ),
    Mutant(
        "a rehearsal begins while somebody is owed",
        "rehearsal: one at a time",
        REHEARSAL,
        "sorted((record.may_serve - {holder}) | record.owed.keys())",
        "sorted(record.may_serve - {holder})",
        (REFUSED,),
    ),
    Mutant(
        "an operator's Down is taken for one that may be undone",
        "rehearsal: an operator's Down is never undone",
        REHEARSAL,
        "    if backend.admin_state is not AdminState.NONE:\n",
        "    if backend.admin_state is AdminState.UP:\n",
        (REFUSED,),
    ),
    Mutant(
        "a rehearsal does not mind a holder in doubt",
        "rehearsal: not while the holder is in doubt",
        REHEARSAL,
        "    if record.tallies or look.judge(holder).verdict is not Verdict.HEALTHY:\n",
        "    if record.tallies:\n",
        (REFUSED,),
    ),
    Mutant(
        "the only ready standby is rehearsed unasked",
        "rehearsal: never the only one unless it is named",
        REHEARSAL,
        "if _unfit(look, n) is None and _spare(look, n)]",
        "if _unfit(look, n) is None]",
        (f"{REHEARSED}::test_of_a_pair_the_only_standby_is_rehearsed_when_it_is_named_and_not_else",),
    ),
    Mutant(
        "a rehearsal asks no guard",
        "guards: paused, nothing is up, not blind",
        REHEARSAL,
        "    if refusals := refuse(Draining(chosen), context):",
        "    if refusals := refuse(Draining(chosen), context)[:0]:",
        (REFUSED,),
    ),
    Mutant(
        "a member that is rehearsed waits for ever",
        "rehearsal: patience ends with the deadline",
        REHEARSAL,
        "    return at < rehearsal.until <= at + look.timing.operation_deadline",
        "    return True",
        (f"{INTERRUPTED}::test_a_rehearsal_that_nobody_ends_is_ended_by_its_deadline",),
    ),
    Mutant(
        "any pass takes a rehearsed member back",
        "rehearsal: others leave its member alone",
        DECIDE,
        "        if not is_rehearsed(look, name) and (lifting := lift(look, name)):\n",
        "        if lifting := lift(look, name):\n",
        (f"{INTERRUPTED}::test_other_passes_leave_the_member_alone_until_it_is_over",),
    ),
)
