"""What is worth a report, and how a report is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.identity import Identity, Issuer
from hopkeeper_agent.jws import key_id, verify
from hopkeeper_agent.maintenance import Maintenance
from hopkeeper_agent.reports import Reportable, Reporter, changes

from tests.unit.agent.stage import new_signer, until

REBOOT = Maintenance("reboot", None, "e-1")
FIT = Reportable(sessions=(("10.0.0.36", "established"),))


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        (FIT, FIT, []),
        (Reportable(), Reportable(fatal=("p: no echo",)), ["fatal: p: no echo"]),
        (Reportable(fatal=("p: no echo",)), Reportable(), ["cleared: p: no echo"]),
        (Reportable(fatal=("p: no echo",)), Reportable(fatal=("p: exit code 1",)), []),
        (Reportable(), Reportable(failed_peers=frozenset({"nva-b"})), ["peer failed: nva-b"]),
        (Reportable(failed_peers=frozenset({"nva-b"})), Reportable(), ["peer returned: nva-b"]),
        (FIT, Reportable(sessions=(("10.0.0.36", "down"),)), ["session down: 10.0.0.36"]),
        (Reportable(sessions=(("10.0.0.36", "down"),)), FIT, ["session established: 10.0.0.36"]),
        (Reportable(), Reportable(sessions=(("10.0.0.36", "down"),)), []),
        (Reportable(), Reportable(bad_checks=frozenset({"uplink"})), ["check failed: uplink"]),
        (Reportable(bad_checks=frozenset({"uplink"})), Reportable(), ["check passed: uplink"]),
        (Reportable(bad_checks=frozenset({"p"})), Reportable(fatal=("p: no echo",)), ["fatal: p: no echo"]),
        (Reportable(), Reportable(maintenance=REBOOT), ["draining: reboot under way (e-1)"]),
        (Reportable(maintenance=REBOOT), Reportable(), ["maintenance over: reboot (e-1)"]),
        (Reportable(maintenance=REBOOT), Reportable(maintenance=REBOOT), []),
        (Reportable(sessions=(("10.0.0.36", "unknown"),)), Reportable(sessions=(("10.0.0.36", "down"),)), []),
    ],
)
def test_what_changes_is_reported(before: Reportable, after: Reportable, reasons: list[str]) -> None:
    assert changes(before, after) == reasons


class Wire:
    """Takes posts; each waits for its answer."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, asyncio.Future[int | None]]] = []

    async def __call__(self, token: str) -> int | None:
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.posts.append((token, answer))
        return await answer

    def answer(self, number: int, status: int | None) -> None:
        self.posts[number][1].set_result(status)


SIGNER = new_signer()


def reporter(wire: Wire) -> Reporter:
    return Reporter(wire, Issuer(Identity("nva-a", "hub"), SIGNER, Clock(wall=lambda: 1000.0)), dict)


def claims(wire: Wire, number: int) -> dict[str, Any]:
    return verify(wire.posts[number][0], "hopkeeper-report", {key_id(SIGNER.key.public_key()): SIGNER.key.public_key()})


@pytest.mark.parametrize("status", [None, 500, 503, 403, 404, 408, 429, 302])
async def test_a_report_is_repeated_until_it_is_acknowledged(status: int | None) -> None:
    wire = Wire()
    keeps = reporter(wire)
    keeps.report("fatal: p: no echo")
    await until(lambda: len(wire.posts) == 1)
    wire.answer(0, status)
    await until(lambda: len(wire.posts) == 2)
    assert claims(wire, 0)["jti"] != claims(wire, 1)["jti"]
    wire.answer(1, 202)
    await until(lambda: keeps.acknowledged)
    await keeps.close()


async def test_a_report_the_app_refuses_is_not_repeated() -> None:
    wire = Wire()
    keeps = reporter(wire)
    keeps.report("start-up")
    await until(lambda: len(wire.posts) == 1)
    wire.answer(0, 401)
    await until(lambda: keeps.acknowledged)
    assert len(wire.posts) == 1
    await keeps.close()


async def test_a_new_change_does_not_wait_for_a_report_in_flight() -> None:
    wire = Wire()
    keeps = reporter(wire)
    keeps.report("peer failed: nva-b")
    await until(lambda: len(wire.posts) == 1)
    keeps.report("fatal: p: no echo")
    await until(lambda: len(wire.posts) == 2)
    assert claims(wire, 1)["reason"] == "fatal: p: no echo"
    await keeps.close()


async def test_at_most_two_are_in_flight_and_the_newest_is_one_of_them() -> None:
    wire = Wire()
    keeps = reporter(wire)
    for number in range(4):
        keeps.report(f"change {number}")
        await until(lambda number=number: len(wire.posts) == number + 1)  # type: ignore[misc]
    waiting = [claims(wire, number)["reason"] for number in range(4) if not wire.posts[number][1].cancelled()]
    assert waiting == ["change 0", "change 3"]
    await keeps.close()


async def test_an_older_report_is_not_repeated_beside_a_newer_one() -> None:
    wire = Wire()
    keeps = reporter(wire)
    keeps.report("older")
    await until(lambda: len(wire.posts) == 1)
    keeps.report("newer")
    await until(lambda: len(wire.posts) == 2)
    wire.answer(0, None)
    wire.answer(1, None)
    await until(lambda: len(wire.posts) == 3)
    assert claims(wire, 2)["reason"] == "newer"
    wire.answer(2, 200)
    await until(lambda: keeps.acknowledged)
    assert len(wire.posts) == 3
    await keeps.close()
