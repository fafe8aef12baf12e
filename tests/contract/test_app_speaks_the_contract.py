"""The app against `contracts/`: what it sends validates, and it reads the example replies and reports."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.jws import SIZE_MAX
from function_app.adapters.agents.messages import decode_reply, decode_status, encode_command
from function_app.adapters.agents.reports import ReportsOverJws
from function_app.adapters.clock import SystemClock
from function_app.domain.service.observation import AgentReading, AgentStatus, Role
from function_app.domain.service.steps import (
    NOTHING_OUTWARD,
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.domain.topology.laws import PREFIXES_OF_A_SERVICE
from function_app.reconcile.ports import AgentCommand
from tests.unit.adapters.fake_agent import BOOT, FakeAgent, Identity, app_key

CONTRACTS = Path(__file__).parents[2] / "contracts"
EXAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((CONTRACTS / "examples").glob("*.json"))}
REPLIES = [name for name in EXAMPLES if name.startswith("reply-")]
REPORTS = [name for name in EXAMPLES if name.startswith("report-")]
STATUSES = [name for name in EXAMPLES if name.startswith("status-")]
AGENT = Identity("nva-a")
TIMEOUT = timedelta(seconds=5)

COMMANDS: list[AgentCommand] = [
    SendFence("nva-a", 7),
    SendPromote("nva-a", 7, BOOT),
    SendAdvertise("nva-a", 7, 3, (Advertisement(IPv4Network("10.128.0.0/9"), IPv4Address("10.0.1.100"), 2),)),
    SendAdvertise("nva-a", 8, 1, ()),
    SendOutward("nva-a", 7, 2, OutwardRoutes((IPv4Network("10.0.0.0/16"), IPv4Network("10.4.0.0/16")), 3)),
    SendOutward("nva-a", 7, 3, OutwardRoutes((IPv4Network("10.0.0.0/16"),))),
    SendOutward("nva-a", 8, 4, NOTHING_OUTWARD),
]


def command_schema() -> Draft202012Validator:
    schemas = [json.loads(path.read_text()) for path in sorted((CONTRACTS / "schemas").glob("*.json"))]
    registry: Registry[Any] = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas)
    (schema,) = [s for s in schemas if s["$id"] == "urn:hopkeeper:command:1"]
    return Draft202012Validator(schema, registry=registry)


async def test_every_command_that_is_sent_fits_the_schema() -> None:
    agent = FakeAgent(AGENT)
    agents = AgentsOverHttp(app_key(), SystemClock())
    async with agent.listening() as at:
        await agents.status("hub", at, TIMEOUT)
        for command in COMMANDS:
            await agents.command("hub", at, "fw", command, TIMEOUT)
    await agents.close()

    assert len(agent.commands) == 1 + len(COMMANDS)
    for sent in agent.commands:
        command_schema().validate(sent)


def test_as_many_prefixes_as_a_service_may_have_fit_into_a_command() -> None:
    widest = Advertisement(IPv4Network("223.255.255.252/30"), IPv4Address("223.255.255.255"), 16)
    claims = {
        "command": encode_command("s" * 63, SendAdvertise("nva", 2**53, 2**53, (widest,) * PREFIXES_OF_A_SERVICE))
    }
    with_names = claims | dict.fromkeys(("iss", "aud", "sub", "jti", "topology"), "n" * 63)
    assert len(app_key().sign("hopkeeper-command", with_names)) < SIZE_MAX


@pytest.mark.parametrize("name", REPLIES)
async def test_example_replies_are_read(name: str) -> None:
    example = EXAMPLES[name]
    agent = FakeAgent(Identity(example["iss"]), accepted=example["accepted"])
    times = {"iat", "exp", "in_reply_to"}
    agent.claims = {key: value for key, value in example.items() if key not in times}
    agents = AgentsOverHttp(app_key(), SystemClock())
    async with agent.listening() as at:
        answer = await agents.command(example["sub"], at, "egress-firewall", SendFence("nva-a", 7), TIMEOUT)
    await agents.close()

    expected: AgentReading = decode_status(example["status"], example["sub"], example["iss"])
    assert (answer.reading, answer.refused) == (expected, example["reason"])
    assert decode_reply(example).accepted is (answer.refused is None)


@pytest.mark.parametrize("name", REPORTS)
def test_example_reports_are_believed(name: str) -> None:
    example = EXAMPLES[name]

    report = ReportsOverJws().claimed(AGENT.sign(example, typ="hopkeeper-report"))
    contents = report.contents(AGENT.certificate, datetime.fromtimestamp(example["iat"], UTC))

    assert (report.topology, report.agent, contents.reason) == (example["sub"], example["iss"], example["reason"])
    assert contents.status.fatal == tuple(example["status"]["fatal"])


@pytest.mark.parametrize("name", STATUSES)
def test_example_statuses_are_read(name: str) -> None:
    example = EXAMPLES[name]

    status = decode_status(example, example["topology"], example["agent"])

    assert isinstance(status, AgentStatus)
    assert status.services.keys() == example["services"].keys()
    for service, said in example["services"].items():
        read = status.services[service]
        assert (read.epoch, read.seq, read.role, read.answering, read.durable) == (
            said["epoch"],
            said["seq"],
            Role(said["role"]),
            said["answering"],
            said["durable"],
        )
        assert read.unconfirmed is said.get("unconfirmed", False)
        outward = said.get("outward", {"epoch": 0, "seq": 0, "prefixes": [], "standby_prepend": None})
        assert read.outward_turn == (outward["epoch"], outward["seq"])
        assert [str(prefix) for prefix in read.outward.prefixes] == outward["prefixes"]
        assert read.outward.standby_prepend == outward["standby_prepend"]
    assert {str(address) for address in status.sessions} == example["sessions"].keys()
    assert {str(address) for address in status.outward_sessions} == example.get("outward_sessions", {}).keys()
    assert {name: view.gossip for name, view in status.peers.items()} == {
        name: said["gossip"] for name, said in example["peers"].items()
    }


def test_there_are_examples() -> None:
    assert REPLIES
    assert REPORTS
    assert STATUSES
