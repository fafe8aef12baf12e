"""What is lost while witnesses and announcers do not answer is said in words of the failover, not of the agent."""

from function_app.domain.service.watching import lost
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import document, ranked_document, topology

A = "nva-a"


def watched(witnesses: int, **timing: str) -> Topology:
    doc = document()
    for speaker in doc["speakers"]:
        del speaker["agent"]
    doc["speakers"] += [
        {
            "name": f"w{number}",
            "address": f"10.0.1.{80 + number}",
            "asn": 65010,
            "role": "witness",
            "agent": {"port": 8443},
            "peersWith": [],
        }
        for number in range(1, witnesses + 1)
    ]
    doc["timing"] |= timing
    return from_plain(doc, Place())


def test_a_witness_that_does_not_answer_leaves_one_voice_or_a_slower_failover() -> None:
    two = watched(2, silence="PT0S", sweep="PT60S")
    assert lost(two, "w1", {"w1"}) == "w2 alone decides whether nva-a, nva-b of fw failed"
    slower = lost(two, "w1", {"w1", "w2"})
    assert slower.startswith("a failover of fw takes up to ")
    alone, _, watched_seconds = slower.removeprefix("a failover of fw takes up to ").partition(" s in place of ")
    assert float(alone) > float(watched_seconds.removesuffix(" s"))
    one = lost(watched(1, silence="PT0S", sweep="PT60S"), "w1", {"w1"})  # it is never believed at once, so less is lost
    assert one.partition(" s in place of ")[0] == slower.partition(" s in place of ")[0]
    assert lost(watched(3), "w1", {"w1"}) == "", "two are left"
    assert lost(topology(), A, {A}) == "", "its members have agents: what is lost is a member, which is said elsewhere"


def test_an_announcer_that_does_not_answer_leaves_the_others_or_no_failover() -> None:
    doc = ranked_document(2, ("inject-1", "inject-2"))
    for speaker in doc["speakers"][:2]:
        del speaker["agent"]
    injected = from_plain(doc, Place())
    assert lost(injected, "inject-1", {"inject-1"}) == (
        "it cannot be ordered to announce fw: inject-2 can; inject-2 alone decides whether nva-a, nva-b of fw failed"
    )
    assert lost(injected, "inject-1", {"inject-1", "inject-2"}) == (
        "it cannot be ordered to announce fw: no failover of it reaches the routes; no agent sees whether nva-a, nva-b of fw "
        "failed: nothing fails over"
    )
