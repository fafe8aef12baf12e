"""Fast passes beside agents that answer late or never: what a failover waits for, and what an answer still changes that comes
in meanwhile. Each pass must end long before `observeFast` is over, which is a minute here."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from function_app.domain.service.observation import AgentReading, AgentStatus, PeerView, Role, Value
from function_app.domain.service.record import Phase
from function_app.domain.service.steps import SendFence, SendPromote
from function_app.domain.topology.model import Speaker, Topology
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import AgentCommand, CommandAnswer, Stored
from tests.builders import QUICK, document, topology
from tests.fakes import FakeDocuments, FakeWorld
from tests.unit.reconcile.scene import Scene

A, B, C = "nva-a", "nva-b", "nva-c"
KEY = "records/hub/fw.json"
LONG = QUICK | {"observeFast": "PT60S", "observeSlow": "PT60S", "sweep": "PT60S", "silence": "PT30S"}
WELL_BEFORE_SECONDS = 10.0


def desired(members: int) -> Topology:
    doc = document(members)
    doc["services"][0]["failover"] = {"rehearse": "ordered"}
    return topology(members, services=doc["services"], timing=LONG)


class Slow(FakeWorld):
    """Agents that are `mute` accept a question, and answer once they are `let_go`."""

    def __init__(self, members: int = 3) -> None:
        super().__init__(desired(members))
        self.mute: dict[str, asyncio.Event] = {}
        self.answered: list[str] = []
        self.on_command: Callable[[AgentCommand], None] | None = None
        """Happens before a command is obeyed."""

    def silence(self, *names: str) -> None:
        self.mute = {name: asyncio.Event() for name in names}

    def let_go(self) -> None:
        for event in self.mute.values():
            event.set()

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
        if event := self.mute.get(speaker.name):
            await event.wait()
        self.answered.append(speaker.name)
        return await super().status(topology, speaker, timeout)

    async def command(self, *given: Any) -> CommandAnswer:
        if self.on_command is not None:
            self.on_command(given[3])
        await settled()
        return await super().command(*given)


async def settled() -> None:
    """Everything else goes as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Stage(Scene):
    """Members at rest, the first of which has just failed by its own word."""

    world: Slow

    @classmethod
    async def failing(cls, members: int = 3, documents: FakeDocuments | None = None) -> "Stage":
        made = cls(world=Slow(members), documents=documents)
        await made.settle()
        made.world.agents[A].fatal = ("data-path: no echo",)
        made.world.answered.clear()
        return made

    async def waiting_for(self, name: str) -> "asyncio.Future[Outcome]":
        """A pass that goes as far as it can while this agent has yet to answer."""
        self.world.silence(name)
        passing = asyncio.ensure_future(self.fast())
        await settled()
        return passing

    async def fast(self) -> Outcome:
        async with asyncio.timeout(WELL_BEFORE_SECONDS):
            return await super().fast()

    def now_held_by(self) -> tuple[str | None, Phase]:
        return self.record.holder, self.record.phase


async def test_a_failover_does_not_wait_for_a_bystander_that_accepts_and_never_answers() -> None:
    stage = await Stage.failing()
    stage.world.silence(C)
    await stage.fast()
    assert stage.serving() == [B]
    assert stage.now_held_by() == (B, Phase.GRANTED)
    assert stage.world.balancer_writes == []


async def test_nothing_of_a_pass_is_left_running_that_went_on_without_a_bystander() -> None:
    stage = await Stage.failing()
    stage.world.silence(C)
    await stage.fast()
    await settled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_member_that_would_be_the_better_choice_is_waited_for() -> None:
    stage = await Stage.failing()
    passing = await stage.waiting_for(B)
    assert stage.world.answered == [A, C]
    assert (stage.serving(), stage.record.phase) == ([], Phase.STABLE)
    stage.world.let_go()
    await passing
    assert stage.serving() == [B]


async def test_the_holder_is_waited_for() -> None:
    stage = await Stage.failing()
    passing = await stage.waiting_for(A)
    assert not passing.done()
    stage.world.let_go()
    await passing
    assert stage.serving() == [B]


async def test_once_a_target_refuses_the_bystander_is_waited_for_and_may_be_the_next_choice() -> None:
    stage = await Stage.failing()
    stage.world.silence(C)
    stage.world.agents[B].refuses_to_serve = True
    refused = asyncio.Event()
    stage.world.on_command = lambda command: refused.set() if isinstance(command, SendPromote) else None
    passing = asyncio.ensure_future(stage.fast())
    await refused.wait()
    for _ in range(5):
        await settled()
    assert not passing.done()
    stage.world.let_go()
    await passing
    assert stage.serving() == [C]


async def test_a_status_that_comes_in_before_the_grant_still_counts() -> None:
    """Of a bystander that shows a command of ours which this record knows nothing of: the record is an older one."""
    stage = await Stage.failing()
    stage.world.silence(C)
    stage.world.agents[C].epoch = stage.record.epoch + 7

    def answers(command: AgentCommand) -> None:
        if isinstance(command, SendFence):
            stage.world.let_go()

    stage.world.on_command = answers
    await stage.fast()
    assert stage.record.phase is Phase.LEARN
    assert stage.world.agents[B].role is Role.STANDBY


async def test_the_silence_of_a_bystander_that_refuses_connections_is_not_waited_for() -> None:
    stage = await Stage.failing()
    stage.world.kill(C)
    missed = PeerView(Value.BAD, Value.BAD, timedelta(0))

    class JustNow:
        """Its peers have missed it only just now."""

        async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading:
            seen = await stage.world.status(topology, speaker, timeout)
            return replace(seen, peers={**seen.peers, C: missed}) if isinstance(seen, AgentStatus) else seen

        async def command(self, *given: Any) -> CommandAnswer:
            return await stage.world.command(*given)

    stage.ports = replace(stage.ports, agents=JustNow())
    await stage.fast()
    assert stage.serving() == [B]


class Counting(FakeDocuments):
    """Documents that say when the record is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.on_record: Callable[[], None] | None = None

    async def load(self, key: str) -> Stored | None:
        if key == KEY and self.on_record is not None:
            await settled()
            self.on_record()
        return await super().load(key)


async def test_the_record_is_loaded_while_the_agents_have_yet_to_answer() -> None:
    documents = Counting()
    stage = await Stage.failing(2, documents)
    stage.world.silence(A, B)
    documents.on_record = stage.world.let_go
    await stage.fast()
    assert stage.serving() == [B]


async def test_the_statuses_are_requested_before_the_record_has_come() -> None:
    documents = Counting()
    stage = await Stage.failing(2, documents)
    answered: list[list[str]] = []
    documents.on_record = lambda: answered.append(list(stage.world.answered))
    await stage.fast()
    assert answered[0] == [A, B]


async def test_the_record_that_was_loaded_beside_the_statuses_is_the_one_that_is_decided_on() -> None:
    documents = FakeDocuments()
    stage = await Stage.failing(2, documents)
    documents.loads.clear()
    stage.world.agents[A].fatal = ()
    await stage.fast()
    assert documents.loads.count(KEY) == 1


async def test_a_record_that_another_pass_wrote_while_the_agents_answered_is_not_overwritten() -> None:
    """Its pause is read again before anything is done."""
    documents = FakeDocuments()
    stage = await Stage.failing(2, documents)
    passing = await stage.waiting_for(B)
    assert KEY in documents.loads
    pause = b'"pause": {"until": "2027-01-01T00:00:00Z", "by": "ann", "reason": ""}'
    await documents.put(KEY, documents.stored[KEY].body.replace(b'"pause": null', pause))
    stage.world.let_go()
    outcome = await passing
    assert "paused" in outcome.reasons[0]
    assert stage.record.pause is not None
    assert [c for c in stage.world.agents[B].obeyed if isinstance(c, SendPromote)] == []
