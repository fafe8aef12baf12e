"""What a person sees of an order: the table that is confirmed, and each change until the service is at rest."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest

from function_app.cli.app import App
from function_app.cli.waiting import Follower, Ordered, service_of, watch
from function_app.domain.base.errors import Unavailable
from function_app.domain.service.record import Phase
from function_app.reconcile.documents.status import Left, ServiceStatus, Status
from function_app.views.moves import move_lines
from tests.fakes import FakeClock
from tests.unit.reconcile.test_status_lines import at_rest

MOST = timedelta(seconds=30)
TO_B = Ordered("hub", "fw", "switchover", "nva-b")


async def status(**changes: Any) -> Status:
    """Of a service at rest, which nva-a serves, with these changes."""
    _, app = await at_rest()
    found = await app.status("hub")
    service = msgspec.structs.replace(found.services[0], **changes)
    return msgspec.structs.replace(found, services=(service,))


@dataclass
class Answering:
    """An app that gives these answers, the last one for ever."""

    answers: list[Status | Unavailable]
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)

    async def status(self, topology: str) -> Status:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Unavailable):
            raise found
        return found

    async def follow(self, ordered: Ordered = TO_B) -> str | None:
        return await Follower(cast("App", self), self.clock, self.said.append, MOST).follow(ordered)

    @property
    def lines(self) -> list[str]:
        """Without their time."""
        return [line.partition("Z  ")[2] for line in self.said]


def shown(found: Status, verb: str, member: str | None) -> list[str]:
    service: ServiceStatus | None = service_of(found, "fw")
    assert service is not None
    return list(move_lines(found, service, verb, member))


async def test_a_switchover_is_shown_member_by_member_before_it_is_given() -> None:
    assert shown(await status(), "switchover", "nva-b") == [
        "switchover of fw in hub, which is well (epoch 1)",
        "MEMBER  NOW        THEN       KEEPS IT FROM SERVING",
        "nva-a   serves     stands by",
        "nva-b   stands by  serves",
    ]


async def test_who_takes_over_is_left_open_where_the_order_names_none() -> None:
    for verb, member, then in (("failover", None, "stands by"), ("drain", "nva-a", "drained")):
        lines = shown(await status(), verb, member)
        assert lines[2:] == [
            f"nva-a   serves     {then}",
            "nva-b   stands by  stands by",
            "the best other member takes over",
        ]
    assert shown(await status(), "drain", "nva-b")[2:] == ["nva-a   serves     serves", "nva-b   stands by  drained"]


async def test_why_the_target_could_not_serve_and_that_nothing_is_known_are_in_the_table() -> None:
    scene, app = await at_rest()
    scene.world.kill("nva-b")
    await app.look("hub", "test")
    (row,) = (line for line in shown(await app.status("hub"), "switchover", "nva-b") if line.startswith("nva-b"))
    assert "its agent does not answer" in row
    scene.clock.at += timedelta(seconds=300)
    lines = shown(await app.status("hub"), "switchover", "nva-b")
    assert "which is UNKNOWN" in lines[0]
    assert lines[1].startswith("  not looked at for ")


async def test_each_change_is_said_once_until_the_service_is_at_rest() -> None:
    moving = {"phase": Phase.FENCING, "since": None, "holder": None, "target": "nva-b", "epoch": 2}
    granted = {"phase": Phase.GRANTED, "since": None, "holder": "nva-b", "target": "nva-b", "epoch": 2}
    rest = await status(holder="nva-b", target="nva-b", epoch=2)
    app = Answering([await status(**moving), await status(**moving), await status(**granted), rest])
    assert await app.follow() is None
    assert app.lines[:2] == [
        "fencing: nva-b is to serve, epoch 2; may still serve: nva-a",
        "granted: nva-b may serve, not confirmed yet, epoch 2",
    ]
    assert app.lines[2].startswith("nva-b serves since ")
    assert len(app.lines) == 3


async def test_a_switchover_that_went_back_is_a_fault() -> None:
    app = Answering([await status(epoch=3)])
    assert await app.follow() == "nva-a serves, not nva-b: hopkeeper explain hub fw"


async def test_a_service_that_does_not_come_to_rest_is_left_after_the_bound() -> None:
    app = Answering([await status(phase=Phase.FENCING, since=None, holder=None)])
    began = app.clock.at
    fault = await app.follow()
    assert fault == "not at rest after 30 s: it goes on without this command; hopkeeper status hub"
    assert app.clock.at - began == MOST


async def test_a_drain_is_over_once_the_member_does_not_serve() -> None:
    serving, drained = await status(may_serve=("nva-a",)), await status(may_serve=("nva-b",), holder="nva-b")
    app = Answering([serving, drained])
    assert await app.follow(Ordered("hub", "fw", "drain", "nva-a")) is None
    assert app.answers == [drained]


@pytest.mark.parametrize("done", [False, True])
async def test_a_service_that_is_retired_is_followed_until_that_is_done(done: bool) -> None:
    app = Answering([await status(left=Left(how="retired", by="ann", done=done))])
    fault = await app.follow(Ordered("hub", "fw", "retire", None))
    assert (fault is None, app.lines[0]) == (done, f"retired{'' if done else ', under way'}, epoch 1")


async def test_a_status_that_cannot_be_read_meanwhile_ends_nothing() -> None:
    app = Answering([Unavailable("storage does not answer"), await status(holder="nva-b")])
    assert await app.follow() is None
    assert app.lines[0] == "no status: storage does not answer"


async def test_a_service_that_left_the_topology_meanwhile_is_followed_no_more() -> None:
    gone = msgspec.structs.replace(await status(), services=())
    app = Answering([gone])
    assert (await app.follow(), app.lines) == (None, ["it has left the topology"])


async def test_a_watched_status_is_drawn_at_each_period() -> None:
    drawn, clock = [], FakeClock()
    began = clock.at

    async def draw() -> None:
        drawn.append((clock.at - began).total_seconds())
        if len(drawn) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await watch(draw, clock, timedelta(seconds=5))
    assert drawn == [0, 5, 10]
