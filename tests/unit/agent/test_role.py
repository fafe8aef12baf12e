"""The agent's half of the fencing rules."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hopkeeper_agent.role import (
    LEAP_MAX,
    Accepted,
    Advertise,
    Advertised,
    Advertisement,
    Fence,
    Promote,
    Refused,
    Role,
    ServiceState,
    Turn,
    advertise,
    answers,
    believed,
    fence,
    outranked,
    promote,
)

BOOT = "a" * 32
SERVING = ServiceState(Turn(5, 2), Role.SERVING)
STANDBY = ServiceState(Turn(5, 2), Role.STANDBY)
ROUTE = Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100"), 0)


def grant(epoch: int, seq: int, boot_id: str = BOOT) -> Promote:
    return Promote("s", Turn(epoch, seq), boot_id)


def test_a_fence_of_a_higher_epoch_stands_the_agent_by() -> None:
    assert fence(Fence("s", Turn(6, 1)), SERVING) == Accepted(ServiceState(Turn(6, 1), Role.STANDBY))


def test_after_a_fence_an_old_promote_is_refused() -> None:
    fenced = fence(Fence("s", Turn(6, 1)), SERVING)
    assert isinstance(fenced, Accepted)
    assert isinstance(promote(grant(5, 9), fenced.state, BOOT, 0), Refused)


@pytest.mark.parametrize(("epoch", "seq"), [(4, 9), (5, 1), (0, 0)])
def test_a_lower_turn_is_refused_whatever_it_commands(epoch: int, seq: int) -> None:
    assert isinstance(fence(Fence("s", Turn(epoch, seq)), SERVING), Refused)
    assert isinstance(promote(grant(epoch, seq), STANDBY, BOOT, 0), Refused)


def test_the_command_that_gave_the_role_is_kept_as_its_warrant_and_not_one_that_was_sent_again() -> None:
    first = fence(Fence("s", Turn(5, 2), warrant="first"), STANDBY)
    assert first == Accepted(replace(STANDBY, warrant="first"))  # of version 1, which kept none
    assert fence(Fence("s", Turn(5, 2), warrant="again"), replace(STANDBY, warrant="first")) == first
    newer = promote(Promote("s", Turn(6, 0), BOOT, warrant="newer"), replace(STANDBY, warrant="first"), BOOT, 0)
    assert newer == Accepted(ServiceState(Turn(6, 0), Role.SERVING, warrant="newer"))


@pytest.mark.parametrize(
    ("state", "heard", "epoch", "is_accepted"),
    [
        (STANDBY, 0, 5 + LEAP_MAX, True),
        (STANDBY, 0, 6 + LEAP_MAX, False),
        (STANDBY, 7, 7 + LEAP_MAX, True),
        (STANDBY, 7, 8 + LEAP_MAX, False),
        (ServiceState(), 0, 8 + LEAP_MAX, True),  # never commanded: a member that is new
    ],
)
def test_an_epoch_leaps_by_a_bounded_number_from_what_was_commanded_before(
    state: ServiceState, heard: int, epoch: int, is_accepted: bool
) -> None:
    assert isinstance(fence(Fence("s", Turn(epoch, 1)), state, heard), Accepted) is is_accepted
    assert isinstance(promote(grant(epoch, 0), state, BOOT, heard), Accepted) is is_accepted


def test_an_equal_turn_with_the_same_effect_is_accepted_again() -> None:
    assert fence(Fence("s", Turn(5, 2)), STANDBY) == Accepted(STANDBY)
    assert promote(grant(5, 2), SERVING, BOOT, 0) == Accepted(SERVING)


def test_an_equal_turn_with_the_opposite_effect_is_refused() -> None:
    assert isinstance(fence(Fence("s", Turn(5, 2)), SERVING), Refused)
    assert isinstance(promote(grant(5, 2), STANDBY, BOOT, 0), Refused)


def test_a_promote_for_another_boot_is_refused() -> None:
    assert isinstance(promote(grant(6, 1, "b" * 32), STANDBY, BOOT, 0), Refused)


def test_a_promote_below_a_received_epoch_is_refused() -> None:
    assert isinstance(promote(grant(6, 1), STANDBY, BOOT, 7), Refused)
    assert isinstance(promote(grant(7, 1), STANDBY, BOOT, 7), Accepted)


def test_a_higher_received_epoch_demotes_without_adopting_it() -> None:
    assert outranked(SERVING, 6) == ServiceState(Turn(5, 2), Role.STANDBY)


@pytest.mark.parametrize("heard", [0, 4, 5])
def test_an_equal_or_lower_received_epoch_changes_nothing(heard: int) -> None:
    assert outranked(SERVING, heard) is SERVING


def test_after_a_self_demotion_the_old_promote_does_not_bring_it_back() -> None:
    assert isinstance(promote(grant(5, 2), outranked(SERVING, 6), BOOT, 0), Refused)


def test_the_probe_answers_only_while_serving_and_fit() -> None:
    assert answers(SERVING, ())
    assert not answers(STANDBY, ())
    assert not answers(SERVING, ("data-path: no echo for 3 checks",))


UNCONFIRMED = replace(SERVING, unconfirmed=True)


def test_a_role_from_before_the_machine_booted_answers_once_the_app_confirms_it() -> None:
    assert not answers(UNCONFIRMED, ())
    assert promote(grant(5, 2), UNCONFIRMED, BOOT, 0) == Accepted(SERVING)


@pytest.mark.parametrize(("claimed", "confirmed"), [(0, True), (5, True), (6, False)])
def test_after_the_boot_window_it_is_believed_unless_a_peer_claims_a_higher_epoch(
    claimed: int, confirmed: bool
) -> None:
    assert (believed(UNCONFIRMED, claimed) == SERVING) is confirmed


def test_one_that_stands_by_or_was_confirmed_is_left_as_it_is() -> None:
    assert believed(STANDBY, 0) is STANDBY
    assert believed(SERVING, 6) is SERVING


def test_whatever_ends_the_role_leaves_nothing_to_confirm() -> None:
    assert fence(Fence("s", Turn(6, 1)), UNCONFIRMED) == Accepted(ServiceState(Turn(6, 1), Role.STANDBY))
    assert outranked(UNCONFIRMED, 6) == STANDBY


def test_advertisements_have_an_order_of_their_own() -> None:
    verdict = advertise(Advertise("s", Turn(1, 1), (ROUTE,)), SERVING, {})
    assert verdict == Accepted(ServiceState(Turn(5, 2), Role.SERVING, Advertised(Turn(1, 1), (ROUTE,))))


def test_advertisements_of_an_equal_turn_must_be_equal() -> None:
    known = ServiceState(advertised=Advertised(Turn(3, 1), (ROUTE,)))
    assert isinstance(advertise(Advertise("s", Turn(3, 1), (ROUTE,)), known, {}), Accepted)
    assert isinstance(advertise(Advertise("s", Turn(3, 1), ()), known, {}), Refused)
    assert isinstance(advertise(Advertise("s", Turn(2, 9), (ROUTE,)), known, {}), Refused)


def test_two_services_cannot_announce_one_prefix() -> None:
    verdict = advertise(Advertise("s", Turn(1, 1), (ROUTE,)), ServiceState(), {ROUTE.prefix: "other"})
    assert verdict == Refused("0.0.0.0/0 is announced for service other")
