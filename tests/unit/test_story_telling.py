"""The lines of a story: what a person reads, without what only a machine compares."""

from datetime import UTC, datetime, timedelta

from function_app.reconcile.passes.outcome import Ending, Outcome
from proving.stories.host import EndedPass
from proving.stories.narrator import Narrator

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
HUB = "/subscriptions/0/resourceGroups/hub/providers/Microsoft.Network/virtualHubs/rs-hub"


def narrated(*reasons: str) -> list[str]:
    narrator = Narrator(lambda: NOW)
    for reason in reasons:
        narrator.outcome("hub", EndedPass("wake-up", Outcome(Ending.HELD, (reason,), timedelta(seconds=10))))
    return narrator.lines


def test_a_resource_is_printed_by_its_name_and_ids_of_operations_and_etags_are_left_out() -> None:
    (line,) = narrated(f"scope '{HUB}': operation f9fb4010-dec7-42b7-bb22-fa316bc9e970 of W/\"1\" on {HUB}.")
    assert line == "02:00:00      Hopkeeper held: scope 'rs-hub': operation of (an etag) on rs-hub."


def test_a_reason_that_only_counts_down_is_printed_once() -> None:
    assert len(narrated("learning, 60 s to go", "learning, 50 s to go", "learning, 40 s to go")) == 1


def test_a_reason_that_comes_back_is_printed_again() -> None:
    assert len(narrated("one", "other", "one")) == 3


def test_a_pass_that_was_turned_away_is_not_printed() -> None:
    assert narrated("hub: another pass is running and goes on with this") == []


def test_a_long_line_is_wrapped_under_its_words() -> None:
    lines = narrated("word " * 60)
    assert len(lines) > 1
    assert all(line.startswith(" " * 16) for line in lines[1:])
