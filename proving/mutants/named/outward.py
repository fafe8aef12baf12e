"""What is told on-premises: by the role, last of all, and never in the way of a promotion (ADR 5)."""

from proving.mutants.mutant import Mutant
from proving.mutants.named.places import ACT, DECIDE, DUTIES, OUTWARD, OUTWARD_CASES, ROLE

AGENT_OUTWARD = "tests/unit/agent/test_outward.py"

TOLD = (
    Mutant(
        "a standby is as near as the holder on-premises",
        "outward: by the role",
        ROLE,
        "    prepend = 0 if state.role is Role.SERVING else told.standby_prepend\n",
        "    prepend = 0 if told.standby_prepend is not None else None\n",
        (f"{AGENT_OUTWARD}::test_the_role_says_what_is_announced",),
    ),
    Mutant(
        "an old outward order overwrites a newer one",
        "outward: orders keep their order",
        ROLE,
        "    if known is not None and command.turn < known.turn:\n",
        "    if known is not None and command.turn.epoch < 0:\n",
        (f"{AGENT_OUTWARD}::test_an_older_word_is_refused_and_an_equal_one_must_be_the_same",),
    ),
    Mutant(
        "a fence is not told on-premises",
        "outward: at once with the role",
        DUTIES,
        "        self._tell_outward_soon()\n        # In effect before anything can fail",
        "        # In effect before anything can fail",
        (f"{AGENT_OUTWARD}::test_a_change_of_role_is_told_outward_without_another_word",),
    ),
    Mutant(
        "a promotion is not told on-premises",
        "outward: at once with the role",
        DUTIES,
        "            self._tell_outward_soon()\n            if isinstance(again, Accepted):\n",
        "            if isinstance(again, Accepted):\n",
        (f"{AGENT_OUTWARD}::test_a_change_of_role_is_told_outward_without_another_word",),
    ),
    Mutant(
        "a self-demotion is not told on-premises",
        "outward: at once with the role",
        DUTIES,
        "            self._tell_outward_soon()\n            self._states[service] = reduced\n",
        "            self._states[service] = reduced\n",
        (f"{AGENT_OUTWARD}::test_hearing_a_higher_epoch_is_told_outward_too",),
    ),
    Mutant(
        "an outward order is acknowledged only once it is on the wire",
        "outward: nothing waits for it",
        DUTIES,
        "        self._tell_outward_soon()\n        return None\n",
        "        await self.tell_outward()\n        return None\n",
        (f"{AGENT_OUTWARD}::test_no_role_and_no_advertisement_waits_for_somebody_on_premises",),
    ),
    Mutant(
        "a prefix for Route Servers goes on-premises too",
        "outward: one purpose a prefix",
        DUTIES,
        "if item.prefix not in inward",
        "if inward is not None",
        (f"{AGENT_OUTWARD}::test_a_prefix_is_announced_for_one_purpose_only_and_route_servers_come_first",),
    ),
    Mutant(
        "members are told while an operation is under way",
        "outward: never in the way of a promotion",
        DECIDE,
        "    if record.phase is not Phase.STABLE or record != look.record or decision.effects:\n",
        "    if record != look.record or decision.effects:\n",
        (f"{OUTWARD_CASES}::test_nobody_is_told_before_somebody_serves",),
    ),
    Mutant(
        "members are told beside whatever else is done",
        "outward: last of all",
        DECIDE,
        "    if record.phase is not Phase.STABLE or record != look.record or decision.effects:\n",
        "    if record.phase is not Phase.STABLE:\n",
        (f"{OUTWARD_CASES}::test_nothing_is_told_while_anything_else_is_to_be_done",),
    ),
    Mutant(
        "who does not take an outward order is silent",
        "outward: evidence of nothing",
        ACT,
        "after if after.status(effect.member) is not None else after.with_agent(effect.member, before)",
        "after",
        (f"{OUTWARD_CASES}::test_an_agent_that_does_not_know_the_command_is_not_taken_for_silent",),
    ),
    Mutant(
        "an outward order gets a number that is refused",
        "outward: numbered beyond what agents have",
        OUTWARD,
        "        seq = max(seq, newest[1]) + 1\n",
        "        seq = seq + 1\n",
        (f"{OUTWARD_CASES}::test_a_number_is_never_below_or_equal_to_what_an_agent_has_of_another_wish",),
    ),
    Mutant(
        "what is no longer declared stays on-premises",
        "outward: taken back",
        OUTWARD,
        "    return mine if mine is not None and mine.outward != wanted else None\n",
        "    return mine if mine is not None and wanted.prefixes and mine.outward != wanted else None\n",
        (f"{OUTWARD_CASES}::test_what_is_no_longer_declared_is_taken_back",),
    ),
)
