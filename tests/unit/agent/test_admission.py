"""Which connections are taken: by source, before anything is spent on them."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hopkeeper_agent.admission import SHARED_MAX, SOURCE_MAX, YIELDS_AFTER_SECONDS, Admission, Places

PEER = "10.0.1.5"


class Scene:
    """Places, and who was cut."""

    def __init__(self, admission: Admission) -> None:
        self.places = Places(admission)
        self.cut: list[tuple[str, int]] = []

    def take(self, source: str, port: int, now: float = 0.0) -> bool:
        return self.places.take((source, port), now, lambda: self.cut.append((source, port)))

    def fill(self, source: str, count: int, now: float = 0.0) -> int:
        """How many of so many connections were taken."""
        return sum(self.take(source, port, now) for port in range(count))


@pytest.fixture
def scene() -> Scene:
    return Scene(Admission.of(reserved=[IPv4Address(PEER)]))


def test_a_source_has_no_more_than_its_own_places(scene: Scene) -> None:
    assert scene.fill("10.9.9.9", 1000) == SOURCE_MAX
    assert scene.cut == []


def test_an_old_connection_gives_way_to_a_new_one_of_its_source(scene: Scene) -> None:
    scene.fill("10.9.9.9", SOURCE_MAX)
    assert not scene.take("10.9.9.9", 2000, YIELDS_AFTER_SECONDS - 0.1)
    assert scene.take("10.9.9.9", 2000, YIELDS_AFTER_SECONDS)
    assert scene.cut == [("10.9.9.9", 0)]


def test_the_source_that_holds_most_gives_way_to_one_that_holds_fewer(scene: Scene) -> None:
    assert scene.fill("10.9.9.8", SOURCE_MAX) + scene.fill("10.9.9.9", SOURCE_MAX) == SHARED_MAX
    assert scene.take("10.0.9.4", 1)
    assert scene.cut == [("10.9.9.8", 0)]
    assert len(scene.places) == SHARED_MAX


def test_where_all_hold_as_much_a_newcomer_cuts_nothing_for_one_more() -> None:
    scene = Scene(Admission())
    taken = [scene.take(f"10.9.{number}.1", 1) for number in range(SHARED_MAX + 1)]
    assert taken == [True] * SHARED_MAX + [False]
    assert scene.cut == []


def test_a_reserved_source_gets_its_places_however_many_others_come(scene: Scene) -> None:
    for number in range(200):
        scene.fill(f"10.9.{number}.1", SOURCE_MAX)
    assert scene.fill(PEER, SOURCE_MAX + 1) == SOURCE_MAX


def test_a_reserved_source_takes_no_place_of_others(scene: Scene) -> None:
    scene.fill(PEER, SOURCE_MAX)
    assert scene.fill("10.9.9.8", SOURCE_MAX) + scene.fill("10.9.9.9", SOURCE_MAX) == SHARED_MAX


def test_a_place_that_is_given_back_is_free_and_may_be_given_back_twice(scene: Scene) -> None:
    scene.fill("10.9.9.9", SOURCE_MAX)
    for _ in range(2):
        scene.places.release(("10.9.9.9", 3))
    assert [scene.take("10.9.9.9", port) for port in (3, 5000)] == [True, False]


@pytest.mark.parametrize(("source", "is_taken"), [("10.0.9.4", True), (PEER, True), ("10.0.8.4", False)])
def test_where_sources_are_named_no_other_is_taken_but_reserved_ones(source: str, is_taken: bool) -> None:
    scene = Scene(Admission.of([IPv4Network("10.0.9.0/26")], [IPv4Address(PEER)]))
    assert scene.take(source, 1) is is_taken
