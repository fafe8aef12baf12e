"""In which order changes of peerings are made: the rules of `order`, one change or two at a time."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning
from function_app.domain.peerings.order import Change, Creation, DueChanges, Removal, RemovalReason
from function_app.domain.topology.model import Speaker

SWAP = timedelta(seconds=165)
P = frozenset({IPv4Network("100.0.1.0/24")})
NONE = frozenset[IPv4Network]()


def creation(name: str, number: int, brings: frozenset[IPv4Network] = NONE, repairs: str | None = None) -> Creation:
    speaker = Speaker(name=name, address=IPv4Address(f"10.0.1.{number}"), asn=65001, peers_with=("rs",))
    return Creation(speaker, f"{name} is not peered", brings, repairs)


def removal(
    reason: RemovalReason,
    number: int,
    replaced_by: str | None = None,
    at_stake: frozenset[IPv4Network] = NONE,
    state: Provisioning = Provisioning.SUCCEEDED,
) -> Removal:
    peering = Peering(f"hopkeeper-hub_old-{number}", IPv4Address(f"10.0.1.{number}"), 65001, state)
    return Removal(peering, "it goes", reason, 100, at_stake, at_stake, replaced_by)


def due(*changes: Change, free: int, names: tuple[str, ...] = (), stands: frozenset[IPv4Network] = NONE) -> DueChanges:
    return DueChanges("hub", "rs", frozenset(names), free, stands, changes, SWAP)


SUPERFLUOUS, WAITING, MOVED, RENUMBERED = RemovalReason


def test_what_goes_first_of_several_that_may_is_what_is_missed_least() -> None:
    assert sorted([RENUMBERED, MOVED, WAITING, SUPERFLUOUS]) == [SUPERFLUOUS, WAITING, MOVED, RENUMBERED]


def test_a_peering_is_created_where_a_place_is_free_and_not_otherwise() -> None:
    new = creation("nva-a", 4)
    assert due(new, free=1).order() == (0,)
    assert due(new, free=0).order() == ()
    assert due(new, free=-1).order() == ()


def test_of_two_that_want_the_last_place_the_first_gets_it() -> None:
    assert due(creation("nva-a", 4), creation("nva-b", 5), free=1).order() == (0,)


def test_a_repair_takes_no_place() -> None:
    repair = creation("nva-a", 4, repairs="hopkeeper-hub_nva-a")
    assert due(repair, free=0).order() == (0,)
    assert due(repair, creation("nva-b", 5), free=1).order() == (0, 1)


def test_a_place_that_is_given_up_may_be_taken() -> None:
    assert due(creation("nva-a", 4), removal(SUPERFLUOUS, 60), free=0).order() == (1, 0)


def test_an_address_is_peered_again_only_when_the_old_peering_is_gone() -> None:
    changes = due(creation("nva-a", 4), removal(RENUMBERED, 4, "nva-a"), free=5)
    assert changes.order() == (1, 0)
    delete, create = changes.steps((1, 0))
    assert isinstance(delete, DeletePeering)
    assert delete.exposure == SWAP
    assert "exchanged for the new peering of nva-a: one fewer for about 165 s" in delete.why
    assert create == CreatePeering("rs", "hopkeeper-hub_nva-a", IPv4Address("10.0.1.4"), 65001, "nva-a is not peered")


def test_a_moved_speaker_is_peered_at_its_new_address_first_where_a_place_is_free() -> None:
    changes = due(creation("nva-a", 4), removal(MOVED, 55, "nva-a"), free=1)
    assert changes.order() == (0, 1)
    assert changes.steps((0, 1))[1] == DeletePeering("rs", "hopkeeper-hub_old-55", "it goes")


def test_a_moved_speaker_is_exchanged_where_no_place_is_free() -> None:
    changes = due(creation("nva-a", 4), removal(MOVED, 55, "nva-a"), free=0)
    assert changes.order() == (1, 0)
    assert changes.steps((1, 0))[0].exposure == SWAP  # type: ignore[union-attr]


def test_an_old_peering_without_a_replacement_that_is_due_goes_at_once() -> None:
    assert due(removal(MOVED, 55, "nva-a"), free=3).order() == (0,)


def test_a_moved_speaker_keeps_its_old_peering_while_another_one_has_its_new_address() -> None:
    stuck = removal(SUPERFLUOUS, 4, at_stake=P)
    assert due(creation("nva-a", 4), stuck, removal(MOVED, 55, "nva-a"), free=0).order() == ()
    assert due(creation("nva-a", 4), stuck, removal(MOVED, 55, "nva-a"), free=0, stands=P).order() == (1, 0, 2)


def test_a_peering_that_does_not_work_exposes_no_speaker_when_it_goes() -> None:
    changes = due(creation("nva-a", 4), removal(MOVED, 55, "nva-a", state=Provisioning.FAILED), free=0)
    assert changes.order() == (1, 0)
    assert changes.steps((1, 0))[0] == DeletePeering("rs", "hopkeeper-hub_old-55", "it goes")


def test_who_has_to_wait_keeps_its_place_until_it_is_needed() -> None:
    waiting = removal(WAITING, 60)
    assert due(waiting, free=1).order() == ()
    assert due(waiting, free=0).order() == ()
    assert due(creation("nva-a", 4), waiting, free=1).order() == (0,)
    assert due(creation("nva-a", 4), waiting, free=0).order() == (1, 0)


def test_a_repair_is_no_reason_to_take_a_place_from_who_waits() -> None:
    repair = creation("nva-a", 4, repairs="hopkeeper-hub_nva-a")
    assert due(repair, removal(WAITING, 60), free=0).order() == (0,)


def test_a_place_is_taken_from_who_waits_for_the_first_whose_address_is_free() -> None:
    stuck = removal(SUPERFLUOUS, 4, at_stake=P)
    changes = due(creation("nva-a", 4), creation("nva-b", 5), stuck, removal(WAITING, 60), free=0)
    assert changes.order() == (3, 1)
    assert "exchanged for the new peering of nva-b" in changes.steps((3, 1))[0].why
    assert due(creation("nva-a", 4), stuck, removal(WAITING, 60), free=0).order() == ()


def test_where_more_are_there_than_may_be_one_that_waits_goes_for_nothing() -> None:
    changes = due(removal(WAITING, 60), free=-1)
    assert changes.order() == (0,)
    why = "it goes: more are there than may be"
    assert changes.steps((0,)) == (DeletePeering("rs", "hopkeeper-hub_old-60", why),)


def test_what_exposes_no_speaker_comes_first() -> None:
    assert due(removal(WAITING, 60), removal(SUPERFLUOUS, 61), free=-2).order() == (1, 0)
    assert due(creation("nva-a", 4), removal(RENUMBERED, 4, "nva-a"), creation("nva-b", 5), free=1).order() == (2, 1, 0)


def test_a_prefix_must_be_announced_by_what_stays_or_was_created_or_goes_later() -> None:
    last = removal(SUPERFLUOUS, 60, at_stake=P)
    assert due(last, free=0).order() == ()
    assert due(last, free=0, stands=P).order() == (0,)
    assert due(creation("nva-a", 4, P), last, free=0).order() == ()
    assert due(creation("nva-a", 4, P), last, free=1).order() == (0, 1)
    assert due(last, removal(SUPERFLUOUS, 61, at_stake=P), free=0).order() == (0,)


def test_a_name_that_is_taken_gets_a_number_and_one_that_was_deleted_is_free_again() -> None:
    taken = ("hopkeeper-hub_nva-a", "hopkeeper-hub_old-60")
    changes = due(
        creation("nva-c", 6), creation("nva-a", 4), removal(SUPERFLUOUS, 60), creation("old-60", 7), free=3, names=taken
    )
    names = [step.name for step in changes.steps((0, 1, 3))]
    assert names == ["hopkeeper-hub_nva-c", "hopkeeper-hub_nva-a.2", "hopkeeper-hub_old-60.2"]
    assert changes.steps((2, 3))[1].name == "hopkeeper-hub_old-60"
    repair = creation("nva-b", 5, repairs="by-hand")
    assert due(repair, free=0).steps((0,))[0].name == "by-hand"


def test_two_new_peerings_of_one_speaker_get_two_names() -> None:
    changes = due(creation("nva-a", 4), creation("nva-a", 5), free=2)
    assert [step.name for step in changes.steps((0, 1))] == ["hopkeeper-hub_nva-a", "hopkeeper-hub_nva-a.2"]


def test_changes_that_cannot_all_be_made_are_ordered_in_bounded_time() -> None:
    removals = [removal(SUPERFLUOUS, 60 + n) for n in range(20)]
    stuck = removal(SUPERFLUOUS, 90, at_stake=P)
    assert due(*removals, stuck, free=0).order() == tuple(range(20))


def test_a_change_that_was_tried_with_the_same_ones_before_does_not_end_the_search() -> None:
    """nva-a first would take the last place, and then the old peering could not go: nva-d has to be there before."""
    changes = due(
        creation("nva-a", 4),
        creation("nva-b", 5, repairs="hopkeeper-hub_nva-b"),
        creation("nva-d", 7, P),
        removal(SUPERFLUOUS, 60, at_stake=P),
        free=1,
    )
    assert changes.order() == (1, 2, 3, 0)


def test_the_new_peering_of_another_speaker_is_no_replacement() -> None:
    changes = due(creation("nva-b", 5), removal(MOVED, 55, "nva-a"), free=0)
    assert changes.order() == (1, 0)
    assert changes.steps((1, 0))[0] == DeletePeering("rs", "hopkeeper-hub_old-55", "it goes")
    assert due(creation("nva-b", 5, P), removal(MOVED, 55, "nva-a"), free=1).order() == (0, 1)
