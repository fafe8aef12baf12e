"""An agent beside a configuration of the operator's that announces by itself: `kind = "none"` with what it announces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.agent.stage import Member, advertise, new_signer

PREFIX, FRONTEND = "192.168.0.0/16", "10.0.1.100"
SECTION = f"""
[speaker]
kind = "none"
[[speaker.announces]]
prefix = "{PREFIX}"
next_hop = "{FRONTEND}"
"""


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member("nva-a", tmp_path, new_signer(), extra=SECTION)


async def test_an_order_for_what_is_announced_already_is_accepted_and_nothing_is_claimed_of_sessions(
    member: Member,
) -> None:
    async with member.running() as agent:
        assert (await member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]["reason"] is None
        status = agent.status()
        assert status["sessions"] == {}
        assert status["checks"]["speaker"]["value"] == "unknown"
        assert status["checks"]["speaker-announced"]["value"] == "ok"
        assert status["fatal"] == []


@pytest.mark.parametrize(
    "routes",
    [[(PREFIX, "10.0.1.101", 0)], [(PREFIX, FRONTEND, 1)], [], [(PREFIX, FRONTEND, 0), ("10.9.0.0/16", FRONTEND, 0)]],
    ids=["another next hop", "another length", "nothing", "more"],
)
async def test_every_other_order_is_refused_as_no_agent_can_obey_it(
    member: Member, routes: list[tuple[str, str, int]]
) -> None:
    async with member.running() as agent:
        status, reply = await member.send(advertise(1, routes))
        assert (status, reply["accepted"]) == (409, False)
        assert f"configuration announces {PREFIX} next hop {FRONTEND} prepend 0, and no agent" in reply["reason"]
        assert agent.status()["checks"]["speaker-announced"]["value"] == ("bad" if routes else "ok")


async def test_without_a_statement_of_what_is_announced_every_advertisement_is_refused(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path, new_signer(), extra='[speaker]\nkind = "none"\n')
    async with member.running() as agent:
        reply = (await member.send(advertise(1, [(PREFIX, FRONTEND, 0)])))[1]
        assert reply["reason"] == "speaker: no speaker is configured"
        assert "speaker" not in agent.status()["checks"]
