"""What is said of the effective routes of a speaker's network interface."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from function_app.domain.routes.effective import EffectiveRoute, compare_effective
from function_app.domain.routes.findings import FindingKind
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from tests.builders import FRONTEND, document, text, topology

DEFAULT = IPv4Network("0.0.0.0/0")
HOPS = {"fw": FRONTEND}


def route(source: str, *hops: str, network: IPv4Network = DEFAULT, **changes: Any) -> EffectiveRoute:
    kind = "VirtualNetworkGateway" if hops else "None"
    return EffectiveRoute(network, source, changes.pop("kind", kind), tuple(map(IPv4Address, hops)), **changes)


LEARNED = route("VirtualNetworkGateway", str(FRONTEND))


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ((LEARNED,), None),
        ((LEARNED, LEARNED), None),
        ((LEARNED, route("Default", kind="Internet", active=False)), None),
        ((LEARNED, route("Default", "10.0.1.9")), None),
        ((LEARNED, route("User", "10.0.1.9", active=False)), None),
        ((LEARNED, route("User", "10.0.1.9", network=IPv4Network("10.0.0.0/8"))), None),
        ((), ("not-effective", "is not in effect: no route leads to 10.0.1.100")),
        ((route("Default", "10.0.1.9"),), ("not-effective", "is not in effect: no route leads to 10.0.1.100")),
        (
            (route("VirtualNetworkGateway", str(FRONTEND), active=False),),
            ("not-effective", "is not in effect: no route leads to 10.0.1.100"),
        ),
        (
            (route("VirtualNetworkGateway", "10.0.1.5"),),
            ("effective-next-hop", "leads to 10.0.1.5, not 10.0.1.100 alone"),
        ),
        (
            (LEARNED, route("VirtualNetworkGateway", "10.0.1.5")),
            ("effective-next-hop", "leads to 10.0.1.5, 10.0.1.100, not 10.0.1.100 alone"),
        ),
        ((LEARNED, route("User", "10.0.1.9")), ("overridden", "is overridden by a user-defined route to 10.0.1.9")),
        ((route("User", kind="Internet"),), ("overridden", "is overridden by a user-defined route to Internet")),
    ],
)  # fmt: skip
def test_a_services_prefix_leads_to_its_next_hop_alone_or_it_is_said_where(
    routes: tuple[EffectiveRoute, ...], says: tuple[str, str] | None
) -> None:
    found = compare_effective(topology(), {"nva-a": routes}, HOPS)
    prefix = "0.0.0.0/0 of fw on the interface of nva-a "
    assert [(f.kind, f.sentence.removeprefix(prefix)) for f in found] == ([says] if says else [])


def test_an_override_by_the_operator_is_worth_knowing_and_all_else_is_wrong() -> None:
    for routes, wrong in (((route("User", "10.0.1.9"),), False), ((), True)):
        [finding] = compare_effective(topology(), {"nva-a": routes}, HOPS)
        assert finding.wrong is wrong
        assert (finding.where, finding.speaker) == ("nva-a's interface", "nva-a")
        assert (finding.service, finding.prefix) == ("fw", DEFAULT)


def test_a_service_without_a_known_next_hop_is_not_judged() -> None:
    assert compare_effective(topology(), {"nva-a": ()}, {}) == ()


def test_findings_are_sorted_by_speaker_and_prefix_and_each_service_has_its_own_next_hop() -> None:
    doc = document(2)
    doc["services"][0]["prefixes"] = ["100.64.2.0/24", "100.64.1.0/24"]
    member = {"nextHop": {"self": {}}, "members": [{"speaker": "nva-a"}], "name": "dns", "prefixes": ["10.9.0.53/32"]}
    doc["services"].append(doc["services"][0] | member)
    found = compare_effective(
        decode(text(doc), Place()), {"nva-b": (), "nva-a": ()}, HOPS | {"dns": IPv4Address("10.0.1.4")}
    )
    wanted = [("100.64.1.0/24", "10.0.1.100"), ("100.64.2.0/24", "10.0.1.100"), ("10.9.0.53/32", "10.0.1.4")]
    assert [(f.speaker, str(f.prefix), f.sentence.rpartition(" ")[2]) for f in found] == [
        (speaker, *each) for speaker in ("nva-a", "nva-b") for each in wanted
    ]
    assert {f.kind for f in found} == {FindingKind.NOT_EFFECTIVE}
