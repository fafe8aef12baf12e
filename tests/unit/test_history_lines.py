"""The history as text, and the times that a person may write."""

from datetime import UTC, datetime, timedelta

import pytest

from function_app.domain.base.errors import BadInput
from function_app.domain.base.moments import moment, moment_of
from function_app.reconcile.documents.history import Entry, EntryStep
from function_app.views.history import history_lines
from tests.unit.reconcile.test_use_cases import settled

NOW = datetime(2026, 11, 28, 17, 24, 44, 83646, tzinfo=UTC)


def entry(after: float, outcome: str = "held", **changes: object) -> Entry:
    at = NOW + timedelta(seconds=after)
    facts: dict[str, object] = {
        "service": "fw",
        "pace": "fast",
        "trigger": "report of nva-b: peer",
        "started": at,
        "looked": at,
        "ended": at + timedelta(seconds=3.2),
        "outcome": outcome,
        "reasons": ("fw: no proof that nva-a does not serve",),
        "evidence": {},
        "steps": (),
    }
    return Entry(**(facts | changes))  # type: ignore[arg-type]


def step(phase: str, epoch: int, *because: str) -> EntryStep:
    return EntryStep(phase=phase, epoch=epoch, operation="", because=because)


def test_a_failover_is_a_line_with_its_change_its_duration_its_reasons_and_what_woke_it() -> None:
    moved = (step("stable → fencing", 4, "nva-a is silent"), step("granted → stable", 4, "nva-b serves"))
    assert list(history_lines([entry(0, "converged", steps=moved)])) == [
        "2026-11-28 17:24:44Z  converged   3.2 s  stable, epoch 4",
        "    nva-a is silent",
        "    nva-b serves",
        "    woken by report of nva-b: peer",
    ]


def test_passes_in_a_row_that_held_the_same_are_one_line() -> None:
    held = [entry(10 * n, steps=(step("fencing → fencing", 4),)) for n in range(3)]
    lines = list(history_lines(held))
    assert lines[0] == "2026-11-28 17:24:44Z  held        3.2 s  fencing, epoch 4 (3 times, until 2026-11-28 17:25:07Z)"
    assert lines[1] == "    no proof that nva-a does not serve"
    assert len(lines) == 3


def test_where_nothing_was_decided_yet_that_is_said() -> None:
    assert list(history_lines([])) == ["nothing was decided yet"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (moment(NOW), NOW.replace(microsecond=0)),
        (NOW.isoformat(), NOW),
        (f"{NOW:%Y-%m-%dT%H:%M:%SZ}", NOW.replace(microsecond=0)),
        ("2026-11-28 17:00", datetime(2026, 11, 28, 17, tzinfo=UTC)),
        ("03:00", datetime(2026, 11, 28, 3, tzinfo=UTC)),
        ("3:00Z", datetime(2026, 11, 28, 3, tzinfo=UTC)),
        ("23:10:05", datetime(2026, 11, 27, 23, 10, 5, tzinfo=UTC)),
        ("-10m", NOW - timedelta(minutes=10)),
        ("-2d", NOW - timedelta(days=2)),
    ],
)
def test_a_time_is_read_as_it_is_printed_and_as_people_write_it(written: str, read: datetime) -> None:
    assert moment_of(written, NOW) == read


@pytest.mark.parametrize("written", ["yesterday", "25:00", "10m", ""])
def test_what_is_no_time_is_refused_with_examples(written: str) -> None:
    with pytest.raises(ValueError, match=r"03:00 and -10m are|hour must be"):
        moment_of(written, NOW)


async def test_a_service_that_is_neither_in_force_nor_on_record_is_bad_input_and_not_an_empty_answer() -> None:
    _, _, app = await settled()
    for ask in (app.history, app.explain):
        with pytest.raises(BadInput, match="has no service 'fw2': did you mean fw"):
            await ask("hub", "fw2")
        with pytest.raises(BadInput, match="there is no topology 'hub2'"):
            await ask("hub2", "fw")


async def test_the_document_in_force_is_given_as_it_was_written() -> None:
    _, documents, app = await settled()
    assert await app.topologies.text("hub") == documents.stored["topologies/hub.yaml"].body.decode()
    await documents.put("topologies/hub.yaml", b"torn: [")
    assert await app.topologies.text("hub") == documents.stored["good/hub.yaml"].body.decode()


async def test_a_plan_of_a_document_that_is_not_in_force_says_what_keeps_it_from_being_and_stores_nothing() -> None:
    _, documents, app = await settled()
    text = (await app.topologies.text("hub")).replace("name: fw", "name: fw2")
    before = list(documents.writes)
    planned = await app.plan_of(text)
    assert planned.generation == "not stored"
    assert "service 'fw' leaves while nva-a" in planned.problems[0]
    assert documents.writes == before
