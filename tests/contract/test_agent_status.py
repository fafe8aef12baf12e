"""`hopkeeper-agent status`: the running agent through its local door, and what is left of one that does not run."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.door import Door, knock
from hopkeeper_agent.main import main
from hopkeeper_agent.shown import view

from tests.unit.agent.stage import SERVICE, TOPOLOGY, Member, fence, new_signer, promote, until

DEEP = "a-directory-with-a-long-name/" * 5


@pytest.fixture
def member(tmp_path: Path) -> Member:
    made = Member("nva-a", tmp_path / "nva-a", new_signer())
    (made.folder / "agent.toml").write_text(made.toml())
    return made


async def status(member: Member, *more: str) -> int:
    return await asyncio.to_thread(main, ["status", *more, str(member.folder / "agent.toml")])


async def test_who_serves_since_when_and_why_is_shown_of_the_running_agent(
    member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    async with member.running() as agent:
        assert (await member.send(promote(7, agent.duties.boot_id)))[0] == 200
        assert await status(member) == 0
        said = capsys.readouterr().out
        assert f"nva-a of {TOPOLOGY}" in said
        assert f"service {SERVICE}: serving at epoch 7, the probe answers 200" in said
        assert "because: the app's PROMOTE at epoch 7, seq 1" in said
        assert said.endswith("well\n")
        assert (await member.send(fence(8)))[0] == 200
        assert await status(member, "--json") == 0
        found = json.loads(capsys.readouterr().out)
    assert found["roles"][SERVICE]["why"] == "the app's FENCE at epoch 8, seq 1"
    assert found["roles"][SERVICE]["since"] <= found["status"]["time"]


async def test_a_role_that_comes_from_the_disk_says_so_and_an_unfit_holder_ends_with_1(
    member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    async with member.running() as agent:
        await member.send(promote(7, agent.duties.boot_id))
    missing = member.folder / "nothing"
    member.extra = f'[[checks]]\nname = "forwarding"\nkind = "forwarding"\npath = "{missing}"\nfatal = true\n'
    (member.folder / "agent.toml").write_text(member.toml())
    async with member.running() as agent:
        await until(lambda: bool(agent.fatal()))
        assert await status(member) == 1
    said = capsys.readouterr().out
    assert "because: as the state file has it" in said
    assert f"WRONG service {SERVICE} should serve and answers 503" in said
    assert "WRONG unfit: forwarding" in said


async def test_an_agent_that_does_not_run_ends_with_3_and_shows_what_it_left(
    member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await status(member) == 3
    assert "does not run" in capsys.readouterr().err
    async with member.running() as agent:
        await member.send(promote(7, agent.duties.boot_id))
    assert await status(member) == 3
    assert f"service {SERVICE}: serving at epoch 7 when it ended" in capsys.readouterr().out
    (member.folder / "state" / "state.json").write_text("torn")
    assert await status(member) == 3


async def test_a_configuration_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "/nowhere/agent.toml"]) == 1
    assert "/nowhere/agent.toml: cannot be read" in capsys.readouterr().err


async def test_a_deep_directory_and_what_a_killed_agent_left_there_are_no_obstacle(tmp_path: Path) -> None:
    directory = tmp_path / DEEP
    directory.mkdir(parents=True)
    killed, door = Door(directory, lambda: {"n": 1}), Door(directory, lambda: {"n": 2})
    await killed.open()
    await door.open()
    assert await knock(directory) == {"n": 2}
    await door.close()
    with pytest.raises(FileNotFoundError):
        await knock(directory)
    await killed.close()


async def test_a_closed_door_leaves_nothing_behind_and_no_complaint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(tmp_path, dict)
    await door.open()
    with socket.socket():  # takes the number of a descriptor that would be free again
        await door.close()
    assert (list(tmp_path.iterdir()), caplog.messages) == ([], [])


async def test_an_agent_runs_without_its_door(tmp_path: Path) -> None:
    door = Door(tmp_path / "not-there", dict)
    await door.open()
    await door.close()


async def test_what_is_no_agent_of_ours_is_no_answer(tmp_path: Path) -> None:
    class Stranger(Door):
        async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail ready\r\n")
            writer.close()

    door = Stranger(tmp_path, dict)
    await door.open()
    with pytest.raises(ConnectionError, match="no agent of ours"):
        await knock(tmp_path)
    await door.close()


EXAMPLES = Path(__file__).resolve().parents[2] / "contracts" / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("status-*.json")), ids=lambda path: path.stem)
def test_every_status_can_be_shown(example: Path) -> None:
    found: dict[str, Any] = {"status": json.loads(example.read_text()), "roles": {}, "started": "2026-01-01T00:00:00Z"}
    shown = view(found)
    assert shown.is_well == (shown.lines[-1] == "well")
    for address, session in found["status"]["sessions"].items():
        (line,) = [line for line in shown.lines if line.startswith(f"session {address}:")]
        assert all(route["prefix"] in line for route in session.get("sent", ()))
