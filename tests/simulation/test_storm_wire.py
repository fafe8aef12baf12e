"""A few histories on the wire, and adapters that lie: each must be found by the laws."""

import json
from dataclasses import replace as exchanged
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.jws import AppKey
from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import AdminStatesOverArm
from function_app.domain.service.observation import AgentService, AgentStatus, Role, Unreachable
from function_app.domain.service.steps import SendFence
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.ports import DOWN_ADMIN, AgentCommand, CommandAnswer, Ports
from proving.stories.identity import app_key_pem
from proving.storm.__main__ import main
from proving.storm.faults import Fault, Kind, Plan
from proving.storm.wire.draw import wire_plan
from proving.storm.wire.history import run
from proving.storm.wire.place import SERVICE

ISOLATED = (Fault(0.0, Kind.CUT, "nva-a", 180.0, "both"), Fault(0.0, Kind.SPLIT, "nva-a", 180.0))
"""The holder goes on answering the load balancer, and neither the app nor its peers reach it: F2 is the only way."""
FENCED = Plan(seed=1, profile="wire", members=2, pace="brisk", heal_at=80.0, faults=ISOLATED)


@pytest.mark.parametrize("seed", [203, 219])
def test_a_history_breaks_no_law_and_comes_to_rest(seed: int) -> None:
    result = run(wire_plan(seed))
    assert result.violation is None, f"wire {seed}: {result.violation}"
    assert result.not_live is None, f"wire {seed}: {result.not_live}"
    assert result.events > 5


def test_an_isolated_holder_is_fenced_by_the_balancer_before_another_serves() -> None:
    result = run(FENCED, trace=True)
    assert result.law is None, result
    story = "\n".join(result.story)
    down, both = story.find("data plane: {'nva-a': 'Down', 'nva-b': 'None'}"), story.find("200 from: nva-a, nva-b")
    assert 0 < down < both


def test_a_seed_gives_the_same_history() -> None:
    first, second = (run(wire_plan(203), trace=True) for _ in range(2))
    assert first == second
    assert len(first.story) > 20


class Hasty(AdminStatesOverArm):
    """Skips the health wait: what was written counts as arrived."""

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        return DOWN_ADMIN


def test_a_fence_that_is_believed_before_packets_meet_it_is_found() -> None:
    slow = Fault(0.0, Kind.SPREAD, seconds=180.0, value=40.0)
    plan = replace(FENCED, heal_at=160.0, faults=(slow, *ISOLATED))
    result = run(plan, adapt=lambda ports, azure: exchanged(ports, admin_states=Hasty(azure)))
    assert result.law == "S4", result


class Credulous(AgentsOverHttp):
    """Takes a FENCE that was not answered for an acknowledged one."""

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: AgentCommand, timeout: timedelta
    ) -> CommandAnswer:
        answer = await super().command(topology, speaker, service, command, timeout)
        if not isinstance(answer.reading, Unreachable) or not isinstance(command, SendFence):
            return answer
        stands_by = AgentService(command.epoch, 1, Role.STANDBY, False, None)
        return CommandAnswer(AgentStatus("f" * 32, self._clock.now(), {SERVICE: stands_by}, (), {}, {}, "1"))


def credulous(ports: Ports, azure: Azure) -> Ports:
    return exchanged(ports, agents=Credulous(AppKey.from_pem(app_key_pem()), ports.clock))


def test_silence_taken_for_an_acknowledgement_is_found() -> None:
    arm_down = Fault(0.0, Kind.ARM_DOWN, seconds=180.0, how="refuse")
    result = run(replace(FENCED, heal_at=160.0, faults=(arm_down, *ISOLATED)), adapt=credulous)
    assert result.law == "S3", result


def test_the_command_counts_wire_histories_in_its_report(tmp_path: Path) -> None:
    out = tmp_path / "storm.json"
    assert main(["--profile", "wire", "--seeds", "1", "--jobs", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["profiles"]["wire"]["histories"] == report["histories"] == 1
    assert report["events"] == report["profiles"]["wire"]["events"] > 0
