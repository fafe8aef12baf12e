"""Azure Scheduled Events as Microsoft documents them, and an agent that reads a stand-in for the metadata service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hopkeeper_agent.maintenance import Maintenance, decode

from tests.contract.test_agent_reports import reporting_to
from tests.contract.test_agent_schemas import validator
from tests.unit.agent.stage import Member, fresh_address, new_signer, until

NOT_BEFORE = datetime(2026, 9, 19, 18, 29, 47, tzinfo=UTC)


def event(kind: str, machine: str = "nva-a", **more: Any) -> dict[str, Any]:
    """One event in the shape of api-version 2020-07-01."""
    return {
        "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
        "EventStatus": "Scheduled",
        "EventType": kind,
        "ResourceType": "VirtualMachine",
        "Resources": [machine],
        "NotBefore": "Sat, 19 Sep 2026 18:29:47 GMT",
        "Description": "Virtual machine is being paused",
        "EventSource": "Platform",
        "DurationInSeconds": 9,
        **more,
    }


@pytest.mark.parametrize("kind", ["Freeze", "Reboot", "Redeploy", "Preempt", "Terminate"])
def test_every_kind_of_interruption_is_maintenance(kind: str) -> None:
    found = decode({"DocumentIncarnation": 1, "Events": [event(kind)]}, "nva-a")
    assert found == Maintenance(kind.lower(), NOT_BEFORE, "C7061BAC-AFDC-4513-B24B-AA5F13A16123")


def test_an_event_of_another_machine_or_kind_is_none() -> None:
    others = [event("Reboot", "nva-b"), event("Sunset"), event("Reboot", EventStatus="Completed")]
    assert decode({"Events": others}, "nva-a") is None
    assert decode({"Events": []}, "nva-a") is None


def test_an_event_that_has_begun_has_no_time_and_comes_first() -> None:
    events = [event("Reboot"), event("Freeze", EventStatus="Started", NotBefore="")]
    found = decode({"Events": events}, "nva-a")
    assert found is not None
    assert (found.kind, found.not_before) == ("freeze", None)


@pytest.mark.parametrize(
    "document", [{}, {"Events": None}, {"Events": ["x"]}, {"Events": [event("Reboot", NotBefore="soon")]}]
)
def test_another_shape_is_an_error_and_not_an_all_clear(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Events|date"):
        decode(document, "nva-a")


class Metadata:
    """A stand-in for the instance metadata service; `status` other than 200 is an answer without events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 200
        self.requests = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        if request.headers.get("Metadata") != "true" or request.query.get("api-version") != "2020-07-01":
            return web.Response(status=400)
        return web.json_response({"DocumentIncarnation": 1, "Events": self.events}, status=self.status)


@asynccontextmanager
async def metadata(member: Member) -> AsyncIterator[Metadata]:
    """Serve a stand-in and configure the member to ask it."""
    service, address = Metadata(), fresh_address()
    app = web.Application()
    app.router.add_get("/metadata/scheduledevents", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, address, 8099).start()
    member.extra += f'[maintenance]\nmachine = "{member.name}"\nurl = "http://{address}:8099"\nperiod_seconds = 0.05\n'
    try:
        yield service
    finally:
        await runner.cleanup()


async def test_an_event_is_in_the_status_until_it_is_over(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    async with metadata(member) as service, member.running() as agent:
        await until(lambda: service.requests > 0)
        assert "maintenance" not in agent.status()
        service.events = [event("Reboot")]
        await until(lambda: "maintenance" in agent.status())
        assert agent.status()["maintenance"] == {
            "kind": "reboot",
            "not_before": "2026-09-19T18:29:47+00:00",
            "event": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
        }
        assert agent.status()["fatal"] == []
        validator("status").validate(agent.status())
        service.status = 500
        known = service.requests
        await until(lambda: service.requests > known + 1)
        assert "maintenance" in agent.status()
        service.events, service.status = [], 200
        await until(lambda: "maintenance" not in agent.status())


async def test_an_event_is_reported_when_it_is_announced_and_when_it_is_over(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    async with metadata(member) as service, reporting_to(member, [202]) as app, member.running():
        service.events = [event("Freeze")]
        announced = "draining: freeze not before 2026-09-19T18:29:47+00:00 (C7061BAC-AFDC-4513-B24B-AA5F13A16123)"
        await until(lambda: app.reasons()[-1:] == [announced])
        validator("report").validate(app.reports[-1])
        assert app.reports[-1]["status"]["maintenance"]["kind"] == "freeze"
        service.events = []
        await until(lambda: app.reasons()[-1:] == ["maintenance over: freeze (C7061BAC-AFDC-4513-B24B-AA5F13A16123)"])
