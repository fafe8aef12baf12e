"""The agent against `contracts/`: what it sends validates, and it obeys the example commands."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.commands import authenticate
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.messages import decode_echo, decode_epochs, decode_heartbeat_services
from hopkeeper_agent.role import Advertise, AdvertiseOutward, Fence, Promote, Status
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.contract.test_agent_reports import reporting_to
from tests.unit.agent.stage import COMMAND_TYPE, SERVICE, Member, advertise, fence, new_signer, outward, promote, until

CONTRACTS = Path(__file__).parents[2] / "contracts"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted((CONTRACTS / "schemas").glob("*.json"))}
EXAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((CONTRACTS / "examples").glob("*.json"))}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
COMMANDS = [name for name in EXAMPLES if name.startswith("command-")]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert any(example.startswith(f"{name}-") for example in EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_the_schema_its_name_begins_with(name: str) -> None:
    validator(name.split("-")[0]).validate(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_schema_takes_no_more_and_no_less(name: str) -> None:
    strict = validator(name.split("-")[0])
    assert not strict.is_valid({**EXAMPLES[name], "extra": 1})
    for key in EXAMPLES[name].keys() - {"heard", "echo", "back_within", "failing", "outward_sessions"}:
        assert not strict.is_valid({k: v for k, v in EXAMPLES[name].items() if k != key}), key


@pytest.mark.parametrize("name", COMMANDS)
def test_the_agent_takes_the_example_commands(name: str) -> None:
    app = new_signer()
    claims = EXAMPLES[name]
    order = authenticate(
        app.sign(COMMAND_TYPE, claims).encode(),
        {app.kid: app.key.public_key()},
        Identity("nva-a", "hub-uksouth"),
    )
    kinds = {"status": Status, "fence": Fence, "promote": Promote, "advertise": Advertise, "outward": AdvertiseOutward}
    assert isinstance(order.command, kinds[claims["command"]["kind"]])
    assert order.jti == claims["jti"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("heartbeat-")])
def test_the_agent_reads_the_example_heartbeats(name: str) -> None:
    assert set(decode_heartbeat_services(EXAMPLES[name]["services"])) == set(EXAMPLES[name]["services"])
    for epochs in EXAMPLES[name].get("heard", {}).values():
        assert decode_epochs(epochs) == epochs
    for peer, echo in EXAMPLES[name].get("echo", {}).items():
        assert decode_echo(EXAMPLES[name]["echo"], peer) == echo


async def test_replies_fit_the_schema_accepted_and_refused(tmp_path: Path) -> None:
    a, b = (Member(name, tmp_path / name, new_signer()) for name in ("nva-a", "nva-b"))
    a.knows(b)
    a.extra += '\n[[checks]]\nname = "data-path"\nkind = "command"\nargv = ["true"]\n'
    async with a.running() as agent:
        commands = [
            ({"kind": "status"}, 200),
            (promote(6, agent.duties.boot_id), 200),
            (promote(7, "f" * 32), 409),
            (fence(6), 409),
            (advertise(6, []), 200),
            (advertise(6, [("0.0.0.0/0", "10.0.1.100", 1)], seq=2), 409),
            (fence(8), 200),
            (outward(8, ["10.0.0.0/16"]), 409),
        ]
        for command, expected in commands:
            status, reply = await a.send(command)
            assert status == expected
            validator("reply").validate(reply)


async def test_a_status_with_outward_neighbours_fits_the_schema(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    # Nothing runs there: what is announced, and to which neighbour, does not depend on it.
    member.extra = f"""
[speaker]
kind = "bird"
asn = 65001
control = "{tmp_path}/ctl"
include = "{tmp_path}/bird.conf"
fatal = false
[[speaker.neighbors]]
address = "10.0.0.36"
asn = 65515
[[speaker.neighbors]]
address = "192.168.100.1"
asn = 64600
group = "outward"
"""
    async with member.running():
        status, reply = await member.send(outward(8, ["10.4.0.0/16", "10.0.0.0/16"]))
        assert (status, reply["reason"]) == (200, None)
        validator("reply").validate(reply)
        assert (reply["status"]["sessions"].keys(), reply["status"]["outward_sessions"].keys()) == (
            {"10.0.0.36"},
            {"192.168.100.1"},
        )
        found = reply["status"]["services"][SERVICE]["outward"]
        assert (found["epoch"], found["seq"], found["prefixes"], found["standby_prepend"]) == (
            8,
            1,
            ["10.0.0.0/16", "10.4.0.0/16"],
            3,
        )
        assert found["announced"] == [
            {"prefix": prefix, "next_hop": member.address, "prepend": 3} for prefix in found["prefixes"]
        ]


async def test_reports_fit_the_schema(tmp_path: Path) -> None:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    async with reporting_to(member, [202]) as app, member.running():
        await until(lambda: bool(app.reports))
    validator("report").validate(app.reports[0])


async def test_heartbeats_fit_the_schema(tmp_path: Path) -> None:
    app = new_signer()
    a, b = (Member(name, tmp_path / name, app) for name in ("nva-a", "nva-b"))
    a.knows(b)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        ear.bind((b.address, 8444))
        async with a.running() as agent:
            await a.send(promote(6, agent.duties.boot_id))
            received: list[dict[str, Any]] = []

            def served() -> bool:
                try:
                    received.append(a.verified(ear.recv(8192).decode(), "hopkeeper-heartbeat"))
                except BlockingIOError:
                    return False
                return SERVICE in received[-1]["services"]

            await until(served)
    for heartbeat in received:
        validator("heartbeat").validate(heartbeat)
    assert received[-1]["services"] == {SERVICE: {"epoch": 6, "role": "serving"}}
