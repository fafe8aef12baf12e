"""Two real agents that exchange heartbeats, and what happens when one stops or reports a higher epoch."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.gossip import FAREWELLS
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.messages import HEARTBEAT
from hopkeeper_agent.peers import Reading
from hopkeeper_agent.role import Role
from hopkeeper_agent.warrants import SERVICES_MAX, Warrant

from tests.contract.test_agent_schemas import validator
from tests.unit.agent.stage import (
    COMMAND_TYPE,
    SERVICE,
    TOPOLOGY,
    Member,
    advertise,
    claims,
    fence,
    new_signer,
    promote,
    public_pem,
    until,
)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Member, Member]:
    app = new_signer()
    a, b = (Member(name, tmp_path / name, app) for name in ("nva-a", "nva-b"))
    a.knows(b)
    b.knows(a)
    return a, b


async def test_peers_hear_each_other(pair: tuple[Member, Member]) -> None:
    a, b = pair
    async with a.running() as first, b.running() as second:
        for agent, other in ((first, "nva-b"), (second, "nva-a")):
            await until(lambda agent=agent, other=other: agent.status()["peers"][other]["gossip"] == "ok")  # type: ignore[misc]
            assert agent.status()["peers"][other]["probe"] == "unknown"


async def test_a_dead_peer_is_bad_on_gossip_and_probe_within_half_a_second(pair: tuple[Member, Member]) -> None:
    a, b = pair
    async with a.running() as first:
        async with b.running():
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok")
        took = await until(lambda: first.watches["nva-b"].failed(time.monotonic()))
        assert first.status()["peers"]["nva-b"] | {"age_seconds": 0} == {
            "gossip": "bad",
            "probe": "bad",
            "age_seconds": 0,
        }
        assert took < 0.5


async def test_a_frozen_peer_has_failed_within_half_a_second(pair: tuple[Member, Member]) -> None:
    """Its kernel still accepts connections, and no process answers them."""
    a, b = pair
    configuration = b.folder / "agent.toml"
    configuration.write_text(b.toml())
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hopkeeper_agent.main", "run", str(configuration), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with a.running() as first:
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok", 10)
            frozen.send_signal(signal.SIGSTOP)
            took = await until(lambda: first.watches["nva-b"].failed(time.monotonic()))
            assert took < 0.5
            frozen.send_signal(signal.SIGCONT)
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok")
    finally:
        frozen.kill()
        await frozen.wait()


async def test_an_agent_that_is_ended_by_systemd_announces_that_it_will_be_back(pair: tuple[Member, Member]) -> None:
    a, b = pair
    configuration = b.folder / "agent.toml"
    configuration.write_text(b.toml())
    ending = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hopkeeper_agent.main", "run", str(configuration), stderr=asyncio.subprocess.DEVNULL
    )
    async with a.running() as first:
        await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok", 30)
        ending.send_signal(signal.SIGTERM)
        await ending.wait()
        await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "unknown")
        assert not first.watches["nva-b"].failed(time.monotonic())
        async with b.running():
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok")


async def test_what_an_agent_sends_while_it_ends_takes_back_no_announcement(pair: tuple[Member, Member]) -> None:
    """Ports and the speaker are closed first, which may take longer than a heartbeat's period."""
    a, b = pair
    async with a.running() as first:
        watch = first.watches["nva-b"]
        async with b.running() as second:
            await until(lambda: watch.gossip(time.monotonic()) is Reading.OK)
            second.announce_restart()
            announced = watch.counter + FAREWELLS
            await until(lambda: watch.counter > announced + 1)
        await until(lambda: watch.gossip(time.monotonic()) is not Reading.OK)
        assert watch.gossip(time.monotonic()) is Reading.UNKNOWN


async def test_a_holder_whose_peers_fail_the_same_check_goes_on_answering_and_says_so(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, b = pair
    sound = {name: tmp_path / f"{name}-is-sound" for name in ("a", "b")}
    for member, path in zip(pair, sound.values(), strict=True):
        check = f'name = "echo"\nkind = "forwarding"\npath = "{path}"\nfatal = true\nperiod_seconds = 0.1\nfall = 1\nrise = 1'
        member.extra += f"\n[[checks]]\n{check}\n"
        path.write_text("1")
    async with a.running() as first, b.running() as second:
        await a.send(promote(6, first.duties.boot_id))
        sound["a"].write_text("0")
        await until(lambda: bool(first.fatal()))
        assert await a.probe() == 503
        sound["b"].write_text("0")
        await until(lambda: not first.fatal())
        assert await a.probe() == 200
        assert first.status()["excused"] == ["echo: forwarding is off for 1 check"]
        assert second.fatal()  # it stands by: it is no candidate
        validator("status").validate(first.status())
        sound["b"].write_text("1")
        await until(lambda: bool(first.fatal()))
        assert "excused" not in first.status()


async def test_a_witness_watches_its_peers_and_takes_no_role(pair: tuple[Member, Member]) -> None:
    a, b = pair
    a.role = "witness"
    async with a.running() as first:
        async with b.running():
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok")
            status, reply = await a.send(promote(6, first.duties.boot_id))
            assert (status, reply["reason"]) == (409, "a witness serves and announces nothing")
            assert await a.probe() == 503
        await until(lambda: first.watches["nva-b"].failed(time.monotonic()), 1.0)


async def test_a_member_that_becomes_a_witness_stands_by(pair: tuple[Member, Member]) -> None:
    a, _ = pair
    async with a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
    a.role = "witness"
    async with a.running():
        assert await a.probe() == 503


async def test_a_peer_whose_gossip_alone_is_cut_is_not_failed(pair: tuple[Member, Member]) -> None:
    a, b = pair
    b.extra = ""  # b sends to no peer, and its probe answers
    async with b.running(), a.running() as first:
        await until(lambda: first.status()["peers"]["nva-b"]["probe"] == "ok")
        assert first.status()["peers"]["nva-b"]["gossip"] == "bad"


async def test_a_holder_that_hears_a_higher_epoch_steps_down(pair: tuple[Member, Member]) -> None:
    a, b = pair
    async with a.running() as first, b.running() as second:
        await a.send(promote(6, first.duties.boot_id))
        assert await a.probe() == 200
        await b.send(promote(7, second.duties.boot_id))
        await until(lambda: first.duties.states[SERVICE].role == "standby", 1.0)
        assert await a.probe() == 503
        status = first.status()["services"][SERVICE]
        assert (status["epoch"], status["seq"]) == (6, 1)


async def test_a_returning_old_holder_never_answers_200(pair: tuple[Member, Member]) -> None:
    a, b = pair
    async with b.running() as second:
        async with a.running() as first:
            await a.send(promote(6, first.duties.boot_id))
        await b.send(promote(7, second.duties.boot_id))
        starting = a.running()
        async with starting:
            # `running` returns once the probe listens, a gossip window after the start.
            assert await a.probe() == 503


async def test_an_agent_alone_resumes_serving(pair: tuple[Member, Member]) -> None:
    a, _ = pair
    async with a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
    async with a.running():
        assert await a.probe() == 200


async def test_a_machine_put_back_to_a_snapshot_is_noticed_by_its_peer(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, b = pair
    async with b.running() as second:
        async with a.running() as first:
            await a.send(promote(6, first.duties.boot_id))
            a.back_up(tmp_path / "snapshot")
            await a.send(fence(7))
            await until(lambda: second.watches["nva-a"].epochs.get(SERVICE) == 7)
        shutil.rmtree(a.folder / "state")
        (tmp_path / "snapshot").rename(a.folder / "state")
        async with a.running():
            assert await a.probe() == 503


async def put_back(member: Member, tmp_path: Path, *fenced: int) -> None:
    """The member is promoted at epoch 6, backed up, fenced at these epochs, and put back to the backup: its machine boots."""
    member.witness = tmp_path / "witness"
    async with member.running() as agent:
        await member.send(promote(6, agent.duties.boot_id))
        member.back_up(tmp_path / "backup")
        for epoch in fenced:
            await member.send(fence(epoch))
    shutil.rmtree(member.folder / "state")
    (tmp_path / "backup").rename(member.folder / "state")
    member.witness.unlink()


async def test_a_machine_that_was_put_back_to_a_backup_does_not_answer_by_its_disk(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, _ = pair
    await put_back(a, tmp_path, 7)
    async with a.running() as agent:
        status = agent.status()["services"][SERVICE]
        assert (await a.probe(), status["role"], status["epoch"], status["unconfirmed"]) == (503, "serving", 6, True)
        assert (await a.send(fence(7)))[0] == 200
        agent.duties.believe()
        assert await a.probe() == 503


async def test_a_holder_whose_machine_booted_answers_at_once_when_the_app_confirms_its_role(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, _ = pair
    await put_back(a, tmp_path)
    async with a.running() as agent:
        assert await a.probe() == 503
        assert (await a.send(promote(6, agent.duties.boot_id)))[0] == 200
        assert await a.probe() == 200
    async with a.running():
        assert await a.probe() == 200


async def test_a_holder_whose_machine_booted_and_whom_nobody_contradicts_answers_after_the_boot_window(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, b = pair
    await put_back(a, tmp_path)
    async with b.running(), a.running(boot_window_seconds=0.2) as agent:
        await until(lambda: agent.duties.states[SERVICE].is_active)
        assert await a.probe() == 200


async def test_a_higher_epoch_that_a_peer_claims_keeps_a_booted_holder_from_answering_and_the_app_decides(
    pair: tuple[Member, Member], tmp_path: Path
) -> None:
    a, b = pair
    b.app = new_signer()
    (b.folder / "app.pub").write_text(public_pem(b.app))
    await put_back(a, tmp_path)
    async with b.running() as second, a.running() as first:
        await b.send(promote(7, second.duties.boot_id))
        sent = first.beats
        await until(lambda: first.beats > sent + 3)
        first.duties.believe()
        assert (await a.probe(), first.duties.heard) == (503, {})
        await a.send(promote(6, first.duties.boot_id))
        assert await a.probe() == 200


async def test_a_command_whose_key_left_the_ring_proves_nothing_to_peers_and_the_next_command_does(
    pair: tuple[Member, Member],
) -> None:
    a, b = pair
    new = new_signer()
    async with b.running() as second:
        async with a.running() as first:
            await a.send(promote(6, first.duties.boot_id))
        await b.send(promote(7, second.duties.boot_id))
        for member in pair:
            (member.folder / "app.pub").write_text(public_pem(new))
            member.app = new
        async with a.running() as first:
            sent = first.beats
            await until(lambda: first.beats > sent + 3)
            assert (await a.probe(), first.duties.heard) == (200, {})
            await b.send(promote(8, second.duties.boot_id))
            await until(lambda: first.duties.states[SERVICE].role == "standby")
            assert first.duties.heard == {SERVICE: 8}


async def test_a_forged_heartbeat_demotes_no_member(pair: tuple[Member, Member]) -> None:
    a, b = pair
    stranger = new_signer()
    async with a.running() as first, b.running():
        await a.send(promote(6, first.duties.boot_id))
        genuine = Signer.from_pem((b.folder / "agent.key").read_bytes())
        forged = [
            (stranger, HEARTBEAT, {}),
            (Signer(stranger.key, genuine.kid), HEARTBEAT, {}),
            (genuine, HEARTBEAT, {"sub": "other"}),
            (genuine, HEARTBEAT, {"iss": "nva-a"}),
            (genuine, "hopkeeper-report", {}),
            (genuine, HEARTBEAT, {"services": {SERVICE: {"epoch": 99.0, "role": "serving"}}}),
            (genuine, HEARTBEAT, {"echo": {"nva-a": {first.duties.boot_id: -1}}}),
            (genuine, HEARTBEAT, {"echo": {"nva-a": []}}),
        ]
        for signer, typ, changes in forged:
            await datagrams(b, a, signer.sign(typ, heartbeat_of_b(**({"echo": answering(first)} | changes))))
        await datagrams(b, a, "x" * 20000, "a.b.c")
        counter = first.watches["nva-b"].counter
        await until(lambda: first.watches["nva-b"].counter >= counter + 3)
        assert await a.probe() == 200
        # The same message, authentic, counts: the forgeries failed for what they are.
        await datagrams(b, a, genuine.sign(HEARTBEAT, heartbeat_of_b(echo=answering(first))))
        assert first.watches["nva-b"].counter == 10**6


async def test_an_epoch_or_a_service_that_only_a_peer_claims_is_not_believed(pair: tuple[Member, Member]) -> None:
    """The key of one standby is stolen: it can claim any epoch of its own or of ours, and invent services by the hundred."""
    a, b = pair
    signer = Signer.from_pem((b.folder / "agent.key").read_bytes())
    async with a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
        for number, epoch in enumerate((7, 2**53 - 1), 1):
            invented = {f"s{number}-{n}": epoch for n in range(100)}
            claimed = {name: {"epoch": epoch, "role": "serving"} for name in (SERVICE, *list(invented)[:30])}
            lie = {"services": claimed, "heard": {"nva-a": invented | {SERVICE: epoch}}}
            heartbeat = heartbeat_of_b(n=number, echo=answering(first), **lie)
            await datagrams(b, a, signer.sign(HEARTBEAT, heartbeat))
            assert first.watches["nva-b"].counter == number
        assert await a.probe() == 200
        assert first.status()["services"].keys() == {SERVICE}
        assert first.status()["services"][SERVICE]["heard"] == 0
        # The recovery of a lost record: whatever the app commands next is above what it knows.
        assert (await a.send(fence(8)))[0] == 200
        assert (await a.send(promote(9, first.duties.boot_id)))[0] == 200


async def test_only_the_apps_own_role_command_in_this_topology_proves_an_epoch(pair: tuple[Member, Member]) -> None:
    a, b = pair
    app, peer = a.app, Signer.from_pem((b.folder / "agent.key").read_bytes())
    grant = promote(7, "d" * 32)
    async with a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
        no_proof = [
            peer.sign(COMMAND_TYPE, claims(grant, "nva-b")),
            Signer(peer.key, app.kid).sign(COMMAND_TYPE, claims(grant, "nva-b")),
            app.sign(HEARTBEAT, claims(grant, "nva-b")),
            app.sign(COMMAND_TYPE, claims(grant, "nva-b", sub="other")),
            app.sign(COMMAND_TYPE, claims(grant, "nva-b", iss="nva-b")),
            app.sign(COMMAND_TYPE, claims(grant, "nva-x")),
            app.sign(COMMAND_TYPE, claims(fence(7), "nva-b")),
            app.sign(COMMAND_TYPE, claims(advertise(7, []), "nva-b")),
            app.sign(COMMAND_TYPE, claims(promote(6, "d" * 32), "nva-b")),
            app.sign(COMMAND_TYPE, claims(promote(2**53 - 1, "d" * 32), "nva-b")),
        ]
        await datagrams(b, a, *no_proof)
        assert await a.probe() == 200
        token = app.sign(COMMAND_TYPE, claims(grant, "nva-b", iat=1000, exp=1030))
        await datagrams(b, a, token)
        await until(lambda: first.duties.states[SERVICE].role == "standby", 1.0)
        mine = first.status()["services"][SERVICE]
        assert (mine["heard"], mine["heard_warrant"]) == (7, token)


async def test_the_apps_command_to_this_very_agent_at_a_higher_epoch_shows_that_its_disk_was_rolled_back(
    pair: tuple[Member, Member],
) -> None:
    a, b = pair
    async with a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
        await datagrams(b, a, a.app.sign(COMMAND_TYPE, claims(fence(6), "nva-a")))
        assert await a.probe() == 200
        await datagrams(b, a, a.app.sign(COMMAND_TYPE, claims(fence(7), "nva-a")))
        assert await a.probe() == 503


async def test_what_peers_show_is_bounded_in_services(pair: tuple[Member, Member]) -> None:
    a, _ = pair
    async with a.running() as first:
        for number in range(100):
            first.duties.note_peer_epoch(f"s{number}", 7)
            warrant = Warrant("nva-b", f"s{number}", 7, Role.SERVING, "token")
            first.watches["nva-b"].note_warrant(warrant)
        assert len(first.status()["services"]) == len(first.watches["nva-b"].warrants) == SERVICES_MAX


async def test_recorded_heartbeats_neither_silence_a_live_peer_nor_keep_a_dead_one_alive(
    pair: tuple[Member, Member],
) -> None:
    """Recorded off the wire before both restarted, and sent from the peer's own address."""
    a, b = pair
    async with a.running() as first:
        recorded = await recording(b, first, beats=5)
    async with a.running() as first:
        async with b.running():
            await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "ok")
            await datagrams(b, a, recorded[0])
            counter = first.watches["nva-b"].counter
            await until(lambda: first.watches["nva-b"].counter >= counter + 3)
            assert first.status()["peers"]["nva-b"]["gossip"] == "ok"
        await until(lambda: first.status()["peers"]["nva-b"]["gossip"] == "bad")
        for heartbeat in recorded[1:]:
            await datagrams(b, a, heartbeat)
            assert first.status()["peers"]["nva-b"]["gossip"] == "bad"


async def recording(sender: Member, receiver: Agent, beats: int) -> list[str]:
    """Heartbeats that count at the receiver now, of a boot that answers it."""
    signer = Signer.from_pem((sender.folder / "agent.key").read_bytes())
    made = []
    for number in range(1, beats + 1):
        made.append(signer.sign(HEARTBEAT, heartbeat_of_b(n=number, services={}, echo=answering(receiver))))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as socket_:
            socket_.bind((sender.address, 8444))
            socket_.sendto(made[-1].encode(), (str(receiver.config.agent.address), 8444))
        await until(lambda number=number: receiver.watches["nva-b"].counter == number)  # type: ignore[misc]
    assert receiver.status()["peers"]["nva-b"]["gossip"] == "ok"
    return made


async def test_a_peer_of_version_1_is_alive_by_its_probe_port_and_its_epochs_are_not_believed(
    pair: tuple[Member, Member],
) -> None:
    """While agents are upgraded one by one: its heartbeats echo nothing, so they are no life, and it does not fail."""
    a, b = pair
    b.extra = ""  # the agent itself sends nothing: its heartbeats are those of version 1, below
    signer = Signer.from_pem((b.folder / "agent.key").read_bytes())
    async with b.running(), a.running() as first:
        await a.send(promote(6, first.duties.boot_id))
        for number in range(8):
            await datagrams(b, a, signer.sign(HEARTBEAT, heartbeat_of_b(n=number)))
            assert not first.watches["nva-b"].failed(time.monotonic())
        assert first.status()["peers"]["nva-b"]["probe"] == "ok"
        assert await a.probe() == 200


async def test_a_peer_of_version_1_takes_our_heartbeats_as_before(pair: tuple[Member, Member]) -> None:
    a, b = pair
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        ear.bind((b.address, 8444))
        async with a.running() as first:
            await a.send(promote(6, first.duties.boot_id))
            heartbeat: dict[str, Any] = {}

            def served() -> bool:
                with contextlib.suppress(BlockingIOError):
                    heartbeat.update(a.verified(ear.recv(8192).decode(), HEARTBEAT))
                return bool(heartbeat.get("services"))

            await until(served)
    assert version_1(heartbeat) == (first.duties.boot_id, heartbeat["n"], {SERVICE: (6, "serving")}, {})


def version_1(heartbeat: dict[str, Any]) -> tuple[Any, ...]:
    """What an agent of version 1 reads in a heartbeat: it ignores every other claim."""
    services = {name: (item["epoch"], item["role"]) for name, item in heartbeat["services"].items()}
    return heartbeat["boot_id"], heartbeat["n"], services, heartbeat.get("heard", {}).get("nva-b", {})


def heartbeat_of_b(**changes: Any) -> dict[str, Any]:
    """Claims of a heartbeat that version 1 of the protocol would take: nva-b serves at a high epoch."""
    return {
        "iss": "nva-b",
        "sub": TOPOLOGY,
        "iat": time.time(),
        "n": 10**6,
        "boot_id": "c" * 32,
        "services": {SERVICE: {"epoch": 99, "role": "serving"}},
    } | changes


def answering(agent: Agent) -> dict[str, Any]:
    """The echo of a peer that has received this agent's last heartbeat."""
    return {"nva-a": {agent.duties.boot_id: agent.beats}}


async def datagrams(source: Member, destination: Member, *payloads: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source.address, 0))
        for payload in payloads:
            sender.sendto(payload.encode(), (destination.address, 8444))
            # One a period: a flood under a peer's name is dropped unread.
            await asyncio.sleep(0.11)


async def test_an_agent_with_peers_listens_for_a_gossip_window_before_its_probe_opens(tmp_path: Path) -> None:
    app = new_signer()
    returning, other = (Member(name, tmp_path / name, app, period_seconds=1.0) for name in ("nva-a", "nva-b"))
    returning.knows(other)
    began = time.monotonic()
    async with returning.running():
        assert time.monotonic() - began >= 3.0
