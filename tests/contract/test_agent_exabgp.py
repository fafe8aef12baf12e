"""An agent that speaks through a real ExaBGP with both instances of a Route Server, on loopback and without root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent import config, loading
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.main import main

from tests.unit.agent.bgp_receiver import ASN, PORT, Receiver, Update, receiving
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until

DEFAULT = "0.0.0.0/0"
LONG = 15.0


@dataclass
class Site:
    """A member and the two instances it peers with."""

    member: Member
    instances: list[tuple[Path, str]]
    receivers: list[Receiver]

    def instance(self, number: int) -> Any:
        folder, address = self.instances[number]
        return receiving(folder, address, self.member.address)

    def pid(self) -> int:
        return int((self.member.folder / "state" / "exabgp.pid").read_text())


@contextmanager
def processes_ended(member: Member) -> Iterator[None]:
    try:
        yield
    finally:
        process = loading.process(config.decode(member.toml()))
        assert process is not None
        last = process.pid
        asyncio.run(process.end())
        assert process.pid is None
        if last is not None:
            # Started by an agent of this very process: no init takes it over here.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(last, 0)
        asyncio.run(_nothing_left(member.folder))


async def _nothing_left(folder: Path) -> None:
    def left() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if str(folder) in path.read_text():
                    found.append(path.parent.name)
        return found

    # The helper needs a moment to see the end of its pipe.
    await until(lambda: not left())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    instances = [(tmp_path / f"rs{number}", fresh_address()) for number in range(2)]
    neighbours = "".join(f'[[speaker.neighbors]]\naddress = "{address}"\nasn = {ASN}\n' for _, address in instances)
    member.extra = f"""
[speaker]
kind = "exabgp"
address = "{member.address}"
asn = 65001
port = {PORT}
hold_time = 30
{neighbours}
"""
    with ExitStack() as running, processes_ended(member):
        receivers = [running.enter_context(receiving(folder, address, member.address)) for folder, address in instances]
        yield Site(member, instances, receivers)


@pytest.fixture
async def agent(site: Site) -> AsyncIterator[Agent]:
    async with site.member.running() as agent:
        await all_established(agent)
        yield agent


async def all_established(agent: Agent) -> None:
    await until(lambda: states(agent) == ["established"] * 2, LONG)


def states(agent: Agent) -> list[str]:
    return [session["state"] for session in agent.status()["sessions"].values()]


async def test_announce_replace_and_withdraw_are_one_update_each_on_both_instances(site: Site, agent: Agent) -> None:
    orders = [
        ([(DEFAULT, "10.0.1.100", 0)], Update({DEFAULT: ("10.0.1.100", [65001])}, [])),
        ([(DEFAULT, "10.0.1.101", 0)], Update({DEFAULT: ("10.0.1.101", [65001])}, [])),
        ([(DEFAULT, "10.0.1.101", 2)], Update({DEFAULT: ("10.0.1.101", [65001] * 3)}, [])),
        ([], Update({}, [DEFAULT])),
    ]
    for seq, (routes, _) in enumerate(orders):
        status, reply = await site.member.send(advertise(1, routes, seq))
        assert (status, reply["reason"]) == (200, None)
    for receiver in site.receivers:
        await until(lambda receiver=receiver: len(receiver.updates()) >= len(orders))  # type: ignore[misc]
        assert receiver.updates() == [update for _, update in orders]


async def test_only_what_changed_is_sent(site: Site, agent: Agent) -> None:
    both = [(DEFAULT, "10.0.1.100", 0), ("10.9.0.0/16", "10.0.1.4", 1)]
    await site.member.send(advertise(1, both))
    for receiver in site.receivers:
        await until(lambda receiver=receiver: len(receiver.routes()) == 2)  # type: ignore[misc]
    before = [len(receiver.updates()) for receiver in site.receivers]
    await site.member.send(advertise(2, [both[0], ("10.9.0.0/16", "10.0.1.4", 3)]))
    for receiver, known in zip(site.receivers, before, strict=True):
        await until(lambda receiver=receiver, known=known: len(receiver.updates()) > known)  # type: ignore[misc]
        assert receiver.updates()[known:] == [Update({"10.9.0.0/16": ("10.0.1.4", [65001] * 4)}, [])]


async def test_orders_back_and_forth_end_as_the_last_one_said(site: Site, agent: Agent) -> None:
    hops = ["10.0.1.100", "10.0.1.101"] * 10
    for seq, hop in enumerate(hops):
        assert (await site.member.send(advertise(1, [(DEFAULT, hop, 0)], seq)))[0] == 200
    for receiver in site.receivers:
        await until(lambda receiver=receiver: len(receiver.updates()) >= len(hops))  # type: ignore[misc]
        assert [update.announced[DEFAULT][0] for update in receiver.updates()] == hops


async def test_a_killed_exabgp_is_started_again_with_its_advertisements(site: Site, agent: Agent) -> None:
    await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 1)]))
    first = site.pid()
    os.kill(first, signal.SIGKILL)
    await until(lambda: states(agent) == ["down"] * 2)
    assert agent.status()["fatal"] == ["speaker: ExaBGP is not running"]
    await all_established(agent)
    assert agent.status()["fatal"] == []
    assert site.pid() != first
    for receiver in site.receivers:
        await until(lambda receiver=receiver: receiver.routes() == {DEFAULT: ("10.0.1.100", [65001] * 2)})  # type: ignore[misc]


async def test_the_status_reports_what_was_sent_to_a_later_agent_too(site: Site) -> None:
    async with site.member.running() as agent:
        await all_established(agent)
        await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 2)]))
    async with site.member.running() as agent:
        await all_established(agent)
        for session in agent.status()["sessions"].values():
            assert session["sent"] == [{"prefix": DEFAULT, "next_hop": "10.0.1.100", "prepend": 2}]


async def test_an_order_beyond_the_budget_is_sent_in_batches(site: Site) -> None:
    site.member.extra = site.member.extra.replace(
        "asn = 65001", 'asn = 65001\nprefix_budget = 5\ncommunities = ["65001:7"]', 1
    )
    first, second = ([(f"10.9.{number}.0/24", hop, 0) for number in range(4)] for hop in ("10.0.1.1", "10.0.1.2"))
    async with site.member.running() as agent:
        await all_established(agent)
        assert (await site.member.send(advertise(1, first)))[1]["reason"] is None
        assert (await site.member.send(advertise(2, second)))[1]["reason"] is None
        for receiver in site.receivers:
            await until(lambda receiver=receiver: sum(len(update.announced) for update in receiver.updates()) == 8)  # type: ignore[misc]
            assert [len(update.announced) for update in receiver.updates()[-4:]] == [1] * 4
            assert not any(update.withdrawn for update in receiver.updates())
            assert {hop for hop, _ in receiver.routes().values()} == {"10.0.1.2"}


async def test_an_agents_restart_flaps_no_session_and_sends_nothing_again(site: Site) -> None:
    async with site.member.running() as agent:
        await all_established(agent)
        await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
        first = site.pid()
    async with site.member.running() as agent:
        await all_established(agent)
        assert site.pid() == first
        await site.member.send(advertise(2, [(DEFAULT, "10.0.1.101", 0)]))
        for receiver in site.receivers:
            await until(lambda receiver=receiver: len(receiver.updates()) >= 2)  # type: ignore[misc]
            assert [update.announced[DEFAULT][0] for update in receiver.updates()] == ["10.0.1.100", "10.0.1.101"]
            assert receiver.states() == ["up"]


async def test_what_became_due_while_exabgp_was_gone_is_announced_at_the_next_start(site: Site) -> None:
    async with site.member.running() as agent:
        await all_established(agent)
        await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
    os.kill(site.pid(), signal.SIGKILL)
    async with site.member.running() as agent:
        await all_established(agent)
        for receiver in site.receivers:
            await until(lambda receiver=receiver: receiver.routes() == {DEFAULT: ("10.0.1.100", [65001])})  # type: ignore[misc]


async def test_a_frozen_exabgp_is_not_believed_to_have_announced(site: Site, agent: Agent) -> None:
    os.kill(site.pid(), signal.SIGSTOP)
    try:
        status, reply = await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
        assert (status, reply["accepted"], reply["reason"]) == (409, False, "speaker: ExaBGP does not answer")
    finally:
        os.kill(site.pid(), signal.SIGCONT)
    for receiver in site.receivers:
        await until(lambda receiver=receiver: receiver.routes() == {DEFAULT: ("10.0.1.100", [65001])})  # type: ignore[misc]
    assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)])))[0] == 200


async def test_a_session_that_comes_back_gets_the_routes_again(site: Site, agent: Agent) -> None:
    await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
    os.kill(site.receivers[0].events()[-1]["pid"], signal.SIGKILL)
    await until(lambda: states(agent).count("down") == 1)
    with site.instance(0) as receiver:
        await all_established(agent)
        await until(lambda: receiver.routes() == {DEFAULT: ("10.0.1.100", [65001])})


async def test_an_exabgp_with_another_configuration_is_replaced(site: Site) -> None:
    async with site.member.running() as agent:
        await all_established(agent)
        first = site.pid()
    site.member.extra = site.member.extra.replace("hold_time = 30", "hold_time = 60")
    async with site.member.running() as agent:
        await until(lambda: (site.member.folder / "state" / "exabgp.pid").exists() and site.pid() != first)
        await all_established(agent)


async def test_a_lost_helper_means_a_new_exabgp(site: Site, agent: Agent) -> None:
    await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)]))
    first = site.pid()
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    await until(lambda: states(agent) == ["down"] * 2)
    await all_established(agent)
    assert site.pid() != first
    for receiver in site.receivers:
        await until(lambda receiver=receiver: receiver.routes() == {DEFAULT: ("10.0.1.100", [65001])})  # type: ignore[misc]


async def test_a_killed_agent_leaves_sessions_and_routes_as_they_were(site: Site) -> None:
    configuration = site.member.folder / "agent.toml"
    configuration.write_text(site.member.toml())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hopkeeper_agent.main", "run", str(configuration), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        for receiver in site.receivers:
            await until(lambda receiver=receiver: receiver.states() == ["up"], LONG)  # type: ignore[misc]
        assert (await site.member.send(advertise(1, [(DEFAULT, "10.0.1.100", 0)])))[0] == 200
    finally:
        process.kill()
        await process.wait()
    first = site.pid()
    async with site.member.running() as agent:
        await all_established(agent)
        assert site.pid() == first
        for receiver in site.receivers:
            await until(lambda receiver=receiver: len(receiver.updates()) == 1)  # type: ignore[misc]
            assert receiver.states() == ["up"]


async def test_a_speaker_left_speaking_ends_at_the_command_line(site: Site) -> None:
    configuration = site.member.folder / "agent.toml"
    configuration.write_text(site.member.toml())
    async with site.member.running() as agent:
        await all_established(agent)
    assert await asyncio.to_thread(main, ["stop-speaker", str(configuration)]) == 0
    for receiver in site.receivers:
        await until(lambda receiver=receiver: receiver.states() == ["up", "down"])  # type: ignore[misc]
