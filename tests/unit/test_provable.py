"""When a Down in the service's pool is a fence: the table of `domain/service/provable.py`."""

from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace

from function_app.domain.service.balancer import AddressFacts, FlowFacts, PoolFacts, RuleFacts
from function_app.domain.service.provable import PoolSeen, fencing_rule, flaws, hidden, may_be_elsewhere, unprovable
from function_app.domain.topology.model import LoadBalancer, Speaker

SPEC = LoadBalancer(id="/lb", frontend="fe", backend_pool="nvas", probe="agent")
NIC = "/subscriptions/0/networkInterfaces/nva-a"
NVA_A = Speaker(name="nva-a", address=IPv4Address("10.0.1.4"), asn=65001, peers_with=("rs",), interface=NIC)
IPCONFIG = f"{NIC}/ipConfigurations/one".casefold()
OTHER_IPCONFIG = f"{NIC}/ipConfigurations/two".casefold()


def rule(name: str, pool: str = "nvas", probe: str | None = "agent") -> RuleFacts:
    return RuleFacts(
        name=name, protocol="All", frontend="fe", frontend_port=0, backend_port=0, pools=(pool,), probe=probe
    )


def flows(*rules: RuleFacts, other: AddressFacts | None = None) -> FlowFacts:
    own = PoolFacts(name="NVAs", addresses=(AddressFacts(name="a", ip=NVA_A.address, interface=IPCONFIG),))
    others = (PoolFacts(name="admin", addresses=(other,)),) if other else ()
    return FlowFacts(rules=rules, pools=(own, *others))


def test_a_down_behind_probed_rules_of_one_pool_is_a_fence() -> None:
    assert unprovable(flows(rule("all"), rule("ssh", "Nvas", "tcp")), SPEC, NVA_A, IPCONFIG) is None


def test_a_speaker_without_an_interface_is_known_by_its_ip_and_by_what_the_services_pool_names() -> None:
    bare = replace(NVA_A, interface=None)
    rules = (rule("all"), rule("web", "admin", "tcp"))
    there, elsewhere = (AddressFacts(name="x", interface=each) for each in (IPCONFIG, OTHER_IPCONFIG))
    assert unprovable(flows(*rules, other=there), SPEC, bare, IPCONFIG) is not None
    assert unprovable(flows(*rules, other=there), SPEC, bare, None) is None
    assert unprovable(flows(*rules, other=elsewhere), SPEC, bare, IPCONFIG) is None


def test_without_its_interface_a_speaker_is_not_known_to_be_in_no_pool_of_interfaces() -> None:
    bare, shy = replace(NVA_A, interface=None), AddressFacts(name="x", interface=OTHER_IPCONFIG)
    used = flows(rule("all"), rule("web", "admin", "tcp"), other=shy)
    assert hidden(used, SPEC, NVA_A) is None
    assert hidden(used, SPEC, bare) == "whether nva-a is in pool admin is not known without its `interface`"
    assert hidden(flows(rule("all"), other=shy), SPEC, bare) is None  # no rule sends flows to the second pool
    shown = replace(shy, ip=IPv4Address("10.0.1.9"))
    assert hidden(flows(rule("all"), rule("web", "admin", "tcp"), other=shown), SPEC, bare) is None
    here = flows(rule("all"), rule("web", "admin", "tcp"), other=AGAIN)
    assert [may_be_elsewhere(f, SPEC, s) for f, s in ((used, bare), (here, bare), (here, NVA_A))] == [True, True, True]
    assert not may_be_elsewhere(flows(rule("all"), other=AGAIN), SPEC, NVA_A)
    assert not may_be_elsewhere(replace(here, pools=here.pools[:1]), SPEC, NVA_A)


@pytest.mark.parametrize(
    ("protocol", "frontend_port", "backend_port", "every"),
    [
        ("All", 0, 0, True),
        ("ALL", 0, 0, True),
        ("Tcp", 0, 0, False),
        ("All", 80, 80, False),
        ("All", 0, 80, False),
        ("All", 1, 1, False),
        ("All", None, 0, False),
    ],
)
def test_a_rule_is_for_every_port_only_with_every_protocol_and_port_0_on_both_sides(
    protocol: str, frontend_port: int | None, backend_port: int | None, every: bool
) -> None:
    changed = replace(rule("all"), protocol=protocol, frontend_port=frontend_port, backend_port=backend_port)
    assert changed.all_ports is every


def test_a_rule_without_a_probe_is_probed_by_none() -> None:
    assert [rule("bare", probe=None).probed_by(name) for name in ("agent", "")] == [False, False]


def test_a_down_that_no_rule_with_the_services_probe_can_confirm_is_no_fence() -> None:
    found = flows(rule("ssh", probe="tcp"), rule("web", pool="admin"))
    assert unprovable(found, SPEC, NVA_A, IPCONFIG) == "no rule joins pool nvas and probe agent"


def test_a_rule_without_a_name_cannot_be_queried() -> None:
    assert fencing_rule(flows(rule(""), rule("second")), SPEC) == "second"
    assert fencing_rule(flows(rule("")), SPEC) is None


def test_a_rule_of_the_pool_without_a_probe_ignores_the_down() -> None:
    found = flows(rule("all"), rule("bare", probe=None))
    assert unprovable(found, SPEC, NVA_A, IPCONFIG) == "rule bare has no probe, and there adminState does nothing"


@pytest.mark.parametrize(
    ("address", "is_it"),
    [
        (AddressFacts(name="x", ip=NVA_A.address), True),
        (AddressFacts(name="x", interface=IPCONFIG), True),
        (AddressFacts(name="x", interface=OTHER_IPCONFIG), True),
        (AddressFacts(name="x", interface=f"{NIC.casefold()}-2/ipconfigurations/one"), False),
        (AddressFacts(name="a", ip=IPv4Address("10.0.1.5")), False),
        (AddressFacts(name="x"), False),
    ],
    ids=["its IP", "its IP configuration", "its network interface", "a longer name", "only its name", "nothing"],
)
def test_a_second_pool_with_the_member_and_a_rule_still_sends_it_flows(address: AddressFacts, is_it: bool) -> None:
    idle = flows(rule("all"), other=address)
    assert unprovable(idle, SPEC, NVA_A, IPCONFIG) is None  # no rule sends flows to the second pool
    used = flows(rule("all"), rule("web", "ADMIN", "tcp"), other=address)
    reason = unprovable(used, SPEC, NVA_A, IPCONFIG)
    assert reason == ("nva-a is also in pool admin, where this fence does nothing" if is_it else None)


SOUND = PoolSeen("AllProbedDown", frozenset(), {"nva-a": IPCONFIG})
AGAIN = AddressFacts(name="x", interface=IPCONFIG)


@pytest.mark.parametrize(
    ("facts", "seen", "found"),
    [
        (flows(rule("all")), SOUND, ()),
        (flows(rule("all"), other=AGAIN), SOUND, ()),
        (flows(rule("all"), rule("ssh", "admin", "tcp")), SOUND, ()),
        (flows(rule("all"), rule("ssh", probe="tcp")), SOUND, ("rule ssh goes by tcp and not by agent",)),
        (flows(rule("all"), rule("bare", probe=None)), SOUND, ("rule bare goes by no probe and not by agent",)),
        (
            flows(rule("all"), rule("web", "admin"), other=AGAIN),
            SOUND,
            ("nva-a is also in pool admin, to which rules send",),
        ),
        (
            flows(rule("all")),
            PoolSeen("allProbedUp", frozenset({"/pool/y", "/pool/x"}), {}),
            (
                "probe agent has AllProbedUp: while no member answers it, all of them get new flows",
                "x is in the pool and no member: declare it, set it to Down, or take it out",
                "y is in the pool and no member: declare it, set it to Down, or take it out",
            ),
        ),
        (flows(rule("all")), PoolSeen(None, frozenset(), {}), ()),
    ],
)
def test_what_an_acknowledgement_takes_for_granted_is_named_where_it_is_not_so(
    facts: FlowFacts, seen: PoolSeen, found: tuple[str, ...]
) -> None:
    assert flaws(facts, SPEC, {"nva-a": NVA_A}, seen) == found
