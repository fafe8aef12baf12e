"""How what members announce behind a load balancer is numbered, and who is commanded to announce it."""

import hashlib
from dataclasses import replace as with_changes

from msgspec.structs import replace

from function_app.domain.service.advertise import next_advertised, next_advertisements, wanted
from function_app.domain.service.decide import decide
from function_app.domain.service.decision import Decision
from function_app.domain.service.record import Advertised
from function_app.domain.service.steps import SendAdvertise, SendFence
from tests.builders import FRONTEND, balancer, document, stable, status, topology
from tests.unit.decisions import SERVING, SILENT, A, B, look, looking

SERVICE = topology(3, services=[document(3)["services"][0] | {"prefixes": ["10.2.0.0/16", "10.1.0.0/16"]}]).services[0]
WANTED, ALL = wanted(SERVICE, FRONTEND), wanted(topology(3).services[0], FRONTEND)


def test_a_changed_set_gets_the_next_number_and_the_same_set_keeps_its_own() -> None:
    before = stable()
    assert before.advertised.seq == 1
    record = next_advertised(before, WANTED)
    assert record.advertised.seq == 2
    assert next_advertised(record, WANTED) == record


def test_a_set_goes_by_the_same_digest_in_every_release() -> None:
    """Another one would number the same set anew, and command every member once more."""
    lines = f"10.1.0.0/16 {FRONTEND} 0\n10.2.0.0/16 {FRONTEND} 0"
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    assert next_advertised(stable(), WANTED).advertised == Advertised(seq=2, digest=digest)


def test_whoever_answers_and_announces_something_else_is_commanded_once_a_look() -> None:
    other = status(3)
    silent_about_it = with_changes(other, services={"fw": with_changes(other.services["fw"], advertised=None)})
    record = replace(stable(), advertised=replace(stable().advertised, seq=7))
    command = SendAdvertise(B, 3, 7, ALL)
    seen = look(SERVING, silent_about_it, SILENT)
    assert next_advertisements(looking(seen, record), ALL) == (record, (command,))
    tried = with_changes(seen, tried={command: "no answer"})
    assert next_advertisements(looking(tried, record), ALL) == (record, ())


def test_a_number_that_an_agent_used_before_the_record_was_lost_is_not_used_again() -> None:
    """It would refuse a lower one, and the same one for another set."""
    other = status(3)
    used = with_changes(
        other, services={"fw": with_changes(other.services["fw"], advertised=(), advertised_turn=(3, 4))}
    )
    decision = decide(looking(look(SERVING, used, balancer=balancer(nva_a="Up_Probe_Success")), stable()))
    assert decision.record.advertised.seq == 5
    assert decision.effects == (SendAdvertise(B, 3, 5, ALL),)


def test_a_withdrawal_that_was_taken_and_not_carried_out_is_ordered_again_and_what_is_to_be_announced_is_not() -> None:
    """The operator's own daemon goes on announcing it. Nothing is proven by the order that is on the agent's disk."""
    other = status(3)
    kept = with_changes(other.services["fw"], advertised=(), advertised_turn=(3, 2), unsent="still sent")
    record = next_advertised(stable(), ())
    seen = look(SILENT, with_changes(other, services={"fw": kept}), SILENT)
    command = SendAdvertise(B, 3, record.advertised.seq, ())
    assert next_advertisements(looking(seen, record), ()) == (record, (command,))
    tried = with_changes(seen, tried={command: "still sent"})
    assert next_advertisements(looking(tried, record), ()) == (record, ())
    announcing = with_changes(kept, advertised=ALL)
    seen = look(SILENT, with_changes(other, services={"fw": announcing}), SILENT)
    assert next_advertisements(looking(seen, record), ALL)[1] == ()


def test_a_decision_is_settled_only_while_nothing_is_added_to_it() -> None:
    record, effect = stable(), SendFence(A, 3)
    rest = Decision(record, held=("first",), settled=True)
    assert rest.with_more(record) == rest
    assert rest.with_more(record, (effect,)) == Decision(record, (effect,), ("first",))
    assert rest.with_more(record, held=("second",)) == Decision(record, held=("first", "second"))
    newer = replace(record, epoch=4)
    assert rest.with_more(newer) == Decision(newer, held=("first",))
