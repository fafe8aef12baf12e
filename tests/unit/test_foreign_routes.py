"""Routes of other peers to the prefixes of a ranked service: a conflict where they are as short as the holder's."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from function_app.domain.routes.as_paths import AsPath
from function_app.domain.routes.foreign import contested
from function_app.domain.routes.reading import LearnedRoute
from tests.builders import ranked
from tests.fakes import INSTANCES

SERVICE = ranked(2).services[0]
DEFAULT = IPv4Network("0.0.0.0/0")


def learned(path: AsPath | None, network: IPv4Network = DEFAULT) -> tuple[LearnedRoute, ...]:
    return tuple(LearnedRoute(instance, network, IPv4Address("10.0.9.9"), path) for instance in INSTANCES)


@pytest.mark.parametrize(
    ("path", "is_one"), [((65099,), True), ((65099,) * 4, True), ((65099,) * 5, False), ((), True), (None, False)]
)
def test_a_path_that_is_not_longer_than_the_lead_is_a_conflict_once(path: AsPath | None, is_one: bool) -> None:
    assert len(contested(SERVICE, 4, {"rs/theirs": learned(path)})) == is_one


def test_only_prefixes_of_the_service_count() -> None:
    assert contested(SERVICE, 4, {"rs/theirs": learned((65099,), IPv4Network("10.9.0.0/16"))}) == ()


def test_each_peer_is_named_in_order() -> None:
    found = contested(SERVICE, 4, {"rs/z": learned((65099,)), "rs/a": learned((65098, 65099))})
    assert [words.split()[0] for words in found] == ["rs/a", "rs/z"]
    assert "an AS path of 2, and the holder's is 4" in found[0]
