"""The app's adapter and a real agent, over real TLS on loopback: every command, the refusals, and the reports."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from hopkeeper_agent.agent import Agent as RealAgent
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.jws import Signer
from msgspec.structs import replace

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.jws import AppKey
from function_app.adapters.agents.reports import ReportsOverJws
from function_app.adapters.clock import SystemClock
from function_app.domain.service.observation import AgentStatus, Role, Unreachable
from function_app.domain.service.steps import (
    NOTHING_OUTWARD,
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.domain.topology.model import Agent, Speaker
from function_app.reconcile import trace
from tests.builders import topology
from tests.fakes import FakeWorld, make_ports
from tests.unit.adapters.fake_agent import SetClock, private_pem
from tests.unit.agent.stage import SERVICE, TOPOLOGY, Member, claims, fresh_address, until

TIMEOUT = timedelta(seconds=5)
APP_PEM = private_pem(ec.generate_private_key(ec.SECP256R1()))
OTHER_PEM = private_pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member("nva-a", tmp_path / "nva-a", Signer.from_pem(APP_PEM.encode()))


@pytest.fixture
async def agent(member: Member) -> AsyncIterator[RealAgent]:
    async with member.running() as agent:
        yield agent


@pytest.fixture
async def agents() -> AsyncIterator[AgentsOverHttp]:
    over_http = AgentsOverHttp(AppKey.from_pem(APP_PEM), SystemClock())
    yield over_http
    await over_http.close()


def at(member: Member, certificate: str | None = None) -> Speaker:
    return Speaker(
        name=member.name,
        address=IPv4Address(member.address),
        asn=65001,
        peers_with=(),
        agent=Agent(port=8443, certificate=certificate or member.certificate),
    )


def role(reading: object) -> tuple[int, Role, bool]:
    """Epoch and role of the service, and whether the probe says 200."""
    assert isinstance(reading, AgentStatus), reading
    service = reading.services[SERVICE]
    return service.epoch, service.role, service.answering


async def test_status_of_a_new_agent_is_read(agents: AgentsOverHttp, member: Member, agent: RealAgent) -> None:
    reading = await agents.status(TOPOLOGY, at(member), TIMEOUT)

    assert isinstance(reading, AgentStatus)
    assert (reading.boot_id, reading.services, reading.fatal) == (agent.duties.boot_id, {}, ())
    assert abs(reading.clock - datetime.now(UTC)) < timedelta(seconds=5)


async def test_promoted_agent_serves_and_fenced_one_stands_by(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    boot = agent.duties.boot_id

    promoted = await agents.command(TOPOLOGY, at(member), SERVICE, SendPromote(member.name, 4, boot), TIMEOUT)
    assert (role(promoted.reading), promoted.refused) == ((4, Role.SERVING, True), None)
    assert await member.probe() == 200

    fenced = await agents.command(TOPOLOGY, at(member), SERVICE, SendFence(member.name, 5), TIMEOUT)
    assert (role(fenced.reading), fenced.refused) == ((5, Role.STANDBY, False), None)
    assert await member.probe() == 503


async def test_an_agent_at_another_address_than_its_speaker_is_commanded_there_and_answers_the_probe_at_both(
    agents: AgentsOverHttp, member: Member
) -> None:
    """Another network interface of the same machine: the load balancer probes the speaker's."""
    address = member.probe_also = fresh_address()
    at_the_speaker = replace(at(member), address=IPv4Address(address))
    certificate = member.certificate
    elsewhere = Agent(port=8443, certificate=certificate, address=IPv4Address(member.address), probe=8080)
    speaker = replace(at_the_speaker, agent=elsewhere)
    async with member.running() as agent:
        promote = SendPromote(member.name, 4, agent.duties.boot_id)
        promoted = await agents.command(TOPOLOGY, speaker, SERVICE, promote, TIMEOUT)
        assert (role(promoted.reading), promoted.refused) == ((4, Role.SERVING, True), None)
        assert (await member.probe(), await member.probe(address=address)) == (200, 200)

        fenced = await agents.command(TOPOLOGY, speaker, SERVICE, SendFence(member.name, 5), TIMEOUT)
        assert (role(fenced.reading), fenced.refused) == ((5, Role.STANDBY, False), None)
        assert (await member.probe(), await member.probe(address=address)) == (503, 503)

        assert await agents.status(TOPOLOGY, at_the_speaker, TIMEOUT) == Unreachable("the connection was refused")


async def test_an_agent_that_is_to_answer_the_probe_of_another_machine_does_not_start(member: Member) -> None:
    """What it acknowledged would prove nothing (safety.md section 4a)."""
    member.probe_also = "192.0.2.1"
    with pytest.raises(
        ConfigError, match=r"listen\.probe: 192\.0\.2\.1 port .*: this machine does not have the address"
    ):
        async with member.running():
            pass


async def test_an_agent_shows_the_command_of_its_epoch_after_a_restart_too_and_an_app_with_another_key_does_not_believe_it(
    agents: AgentsOverHttp, member: Member
) -> None:
    async with member.running():
        await agents.command(TOPOLOGY, at(member), SERVICE, SendFence(member.name, 5), TIMEOUT)
    async with member.running():
        reading = await agents.status(TOPOLOGY, at(member), TIMEOUT)
        assert isinstance(reading, AgentStatus)
        assert reading.services[SERVICE].warranted == 5
        (member.folder / "app.pub").write_text(AppKey.from_pem(OTHER_PEM).public_pem)
        other = AgentsOverHttp(AppKey.from_pem(OTHER_PEM), SystemClock())
        rotated = await other.status(TOPOLOGY, at(member), TIMEOUT)
        await other.close()
    assert isinstance(rotated, AgentStatus)
    assert (rotated.services[SERVICE].epoch, rotated.services[SERVICE].warranted) == (5, 0)


async def test_command_said_twice_is_accepted_twice(agents: AgentsOverHttp, member: Member, agent: RealAgent) -> None:
    promote = SendPromote(member.name, 4, agent.duties.boot_id)
    for command in (promote, promote, SendFence(member.name, 5), SendFence(member.name, 5)):
        assert (await agents.command(TOPOLOGY, at(member), SERVICE, command, TIMEOUT)).refused is None


async def test_fence_of_the_same_epoch_beats_a_promotion_in_either_order(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    promote, fence = SendPromote(member.name, 4, agent.duties.boot_id), SendFence(member.name, 4)

    assert (await agents.command(TOPOLOGY, at(member), SERVICE, promote, TIMEOUT)).refused is None
    assert (await agents.command(TOPOLOGY, at(member), SERVICE, fence, TIMEOUT)).refused is None
    late = await agents.command(TOPOLOGY, at(member), SERVICE, promote, TIMEOUT)

    assert late.refused is not None
    assert role(late.reading) == (4, Role.STANDBY, False)


async def test_a_drain_and_its_end_are_obeyed_within_one_epoch_and_an_older_number_is_not(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    boot, fence = agent.duties.boot_id, SendFence(member.name, 4)
    for command in (SendPromote(member.name, 4, boot), fence, SendPromote(member.name, 4, boot, 2)):
        assert (await agents.command(TOPOLOGY, at(member), SERVICE, command, TIMEOUT)).refused is None
    late = await agents.command(TOPOLOGY, at(member), SERVICE, fence, TIMEOUT)

    assert late.refused is not None
    assert role(late.reading) == (4, Role.SERVING, True)


async def test_refusals_come_with_the_status_and_the_reason(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    await agents.command(TOPOLOGY, at(member), SERVICE, SendFence(member.name, 7), TIMEOUT)
    boot = agent.duties.boot_id

    older = await agents.command(TOPOLOGY, at(member), SERVICE, SendPromote(member.name, 6, boot), TIMEOUT)
    other_boot = await agents.command(TOPOLOGY, at(member), SERVICE, SendPromote(member.name, 8, "f" * 32), TIMEOUT)

    assert older.refused is not None
    assert "lower" in older.refused
    assert other_boot.refused == "this agent restarted since it was looked at"
    assert role(older.reading) == role(other_boot.reading) == (7, Role.STANDBY, False)


async def test_advertisements_are_kept_in_their_own_order(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    """This agent has no speaker to announce them with, and says so; it remembers what it was commanded."""
    wanted = (
        Advertisement(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.1.100")),
        Advertisement(IPv4Network("10.128.0.0/9"), IPv4Address("10.0.1.100"), 2),
    )

    answer = await agents.command(TOPOLOGY, at(member), SERVICE, SendAdvertise(member.name, 4, 1, wanted), TIMEOUT)
    older = await agents.command(TOPOLOGY, at(member), SERVICE, SendAdvertise(member.name, 4, 0, ()), TIMEOUT)

    assert answer.refused == "speaker: no speaker is configured"
    assert older.refused is not None
    assert "lower" in older.refused
    assert isinstance(older.reading, AgentStatus)
    assert older.reading.services[SERVICE].advertised == wanted


async def test_what_is_outward_is_commanded_once_and_follows_the_role(agents: AgentsOverHttp, member: Member) -> None:
    routes = OutwardRoutes((IPv4Network("10.0.0.0/16"),), 3)
    order = SendOutward(member.name, 4, 1, routes)
    async with member.running():
        refused = await agents.command(TOPOLOGY, at(member), SERVICE, order, TIMEOUT)
    assert refused.refused == "no outward neighbour is configured"
    # A daemon that does not run: what is announced, and in which role, does not depend on it.
    member.extra = f"""
[speaker]
kind = "frr"
asn = 65001
vty = "{member.folder}/no.vty"
fatal = false
[[speaker.neighbors]]
address = "192.168.100.1"
asn = 64600
group = "outward"
"""
    async with member.running() as running:
        boot = running.duties.boot_id
        answers = [
            await agents.command(TOPOLOGY, at(member), SERVICE, command, TIMEOUT)
            for command in (order, order, SendPromote(member.name, 5, boot), SendFence(member.name, 6))
        ]
        assert [answer.refused for answer in answers] == [None] * 4
        for answer in answers:
            assert isinstance(answer.reading, AgentStatus)
            mine = answer.reading.services[SERVICE]
            assert (mine.outward, mine.outward_turn) == (routes, (4, 1))
            assert answer.reading.outward_sessions == {IPv4Address("192.168.100.1"): False}
            assert answer.reading.sessions == {}
        gone = SendOutward(member.name, 6, 2, NOTHING_OUTWARD)
        last = await agents.command(TOPOLOGY, at(member), SERVICE, gone, TIMEOUT)
        assert isinstance(last.reading, AgentStatus)
        assert last.reading.services[SERVICE].outward == NOTHING_OUTWARD


async def test_app_with_a_key_the_agent_does_not_know_is_turned_away(member: Member, agent: RealAgent) -> None:
    stranger = AgentsOverHttp(AppKey.from_pem(OTHER_PEM), SystemClock())
    reading = await stranger.status(TOPOLOGY, at(member), TIMEOUT)
    await stranger.close()

    assert reading == Unreachable("its answer is HTTP 401: unknown key")


async def test_command_for_another_topology_is_turned_away(
    agents: AgentsOverHttp, member: Member, agent: RealAgent
) -> None:
    assert await agents.status("another", at(member), TIMEOUT) == Unreachable("its answer is HTTP 401: wrong sub")


async def test_agent_with_another_certificate_than_the_enrolled_one_is_unreachable(
    agents: AgentsOverHttp, member: Member, agent: RealAgent, tmp_path: Path
) -> None:
    other = Member("nva-a", tmp_path / "other", Signer.from_pem(APP_PEM.encode()))

    reading = await agents.status(TOPOLOGY, at(member, other.certificate), TIMEOUT)

    assert reading == Unreachable("its TLS certificate is not the enrolled one")


async def test_clocks_far_apart_decide_nothing(member: Member, agent: RealAgent) -> None:
    for epoch, skew in ((5, timedelta(minutes=-10)), (7, timedelta(minutes=10))):
        agents = AgentsOverHttp(AppKey.from_pem(APP_PEM), SetClock(datetime.now(UTC) + skew))
        promote = SendPromote(member.name, epoch + 1, agent.duties.boot_id)
        fenced = await agents.command(TOPOLOGY, at(member), SERVICE, SendFence(member.name, epoch), TIMEOUT)
        promoted = await agents.command(TOPOLOGY, at(member), SERVICE, promote, TIMEOUT)
        status = await agents.status(TOPOLOGY, at(member), TIMEOUT)
        await agents.close()

        assert (role(fenced.reading), fenced.refused) == ((epoch, Role.STANDBY, False), None)
        assert role(promoted.reading) == role(status) == (epoch + 1, Role.SERVING, True)


async def test_killed_agent_is_unreachable_and_its_next_boot_is_reached(agents: AgentsOverHttp, member: Member) -> None:
    async with member.running():
        first = await agents.status(TOPOLOGY, at(member), TIMEOUT)
    dead = await agents.status(TOPOLOGY, at(member), TIMEOUT)
    async with member.running():
        second = await agents.status(TOPOLOGY, at(member), TIMEOUT)

    assert isinstance(first, AgentStatus)
    assert dead == Unreachable("the connection was refused")
    assert isinstance(second, AgentStatus)
    assert first.boot_id != second.boot_id


async def test_report_of_a_real_agent_is_verified(member: Member) -> None:
    tokens: list[str] = []

    async def take(request: web.BaseRequest) -> web.Response:
        tokens.append(await request.text())
        return web.Response(status=202)

    server = web.Server(take)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    member.extra += f'\n[reports]\nurl = "http://127.0.0.1:{port}/api/reports"\n'
    async with member.running() as agent:
        await until(lambda: bool(tokens))
    listener.close()
    await server.shutdown(timeout=0.1)

    report = ReportsOverJws().claimed(tokens[0])
    contents = report.contents(member.certificate, datetime.now(UTC))
    assert (report.topology, report.agent, contents.reason) == (TOPOLOGY, "nva-a", "start-up")
    assert contents.status.boot_id == agent.duties.boot_id


async def test_the_agent_logs_the_trace_of_the_pass_that_commands_it_and_nothing_else_that_calls_itself_one(
    agents: AgentsOverHttp, member: Member, agent: RealAgent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hopkeeper_agent.commands")
    with trace.span(make_ports(FakeWorld(topology())), "pass"):
        await agents.status(TOPOLOGY, at(member), TIMEOUT)
        current = trace.current()
    token = member.app.sign("hopkeeper-command", claims({"kind": "status"}, member.name))
    assert (await member.post(token, traceparent="00-no trace of ours"))[0] == 200
    logged = [record.__dict__["trace"] for record in caplog.records if record.message == "command answered"]
    assert logged == [current, ""]
