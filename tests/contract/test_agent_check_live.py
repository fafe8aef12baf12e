"""`hopkeeper-agent check --live`: one report over HTTP, and for each answer that the app may give what to do about it."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent import config, loading
from hopkeeper_agent.live import Tried, trials
from hopkeeper_agent.main import main

from function_app.adapters.agents.reports import ReportsOverJws
from tests.unit.agent.stage import TOPOLOGY, Member, fresh_address, new_signer

PORT = 7071


@dataclass
class App:
    """Answers one thing to everything, and keeps what came."""

    url: str
    status: int = 200
    body: str = '{"outcome": "converged"}'
    came: list[tuple[str, str | None, str]] = field(default_factory=list)


@pytest.fixture
def app() -> Iterator[App]:
    address = fresh_address()
    made = App(f"http://{address}:{PORT}/api/reports")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.came.append((self.path, self.headers.get("x-functions-key"), body))
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer((address, PORT), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Machine:
    member: Member
    file: Path

    def check(self, *more: str) -> int:
        return main(["check", *more, str(self.file)])

    def write(self, reports: str) -> None:
        self.member.extra = reports
        self.file.write_text(self.member.toml())


@pytest.fixture
def machine(app: App, tmp_path: Path) -> Machine:
    member = Member("nva-a", tmp_path / "nva-a", new_signer())
    (member.folder / "report.key").write_text("function-key\n")
    made = Machine(member, member.folder / "agent.toml")
    made.write(f'[reports]\nurl = "{app.url}"\nkey_file = "{member.folder}/report.key"\n')
    return made


def test_a_report_that_is_taken_is_said_and_is_one_that_the_app_believes_and_learns_nothing_from(
    app: App, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.check("--live") == 0
    assert f"{app.url} takes reports: 200" in capsys.readouterr().out
    ((path, key, token),) = app.came
    assert (path, key) == ("/api/reports", "function-key")
    report = ReportsOverJws().claimed(token)
    contents = report.contents(machine.member.certificate, datetime.now(UTC))
    assert (report.agent, report.topology, contents.reason) == ("nva-a", TOPOLOGY, "check --live")
    said = contents.status
    assert (said.services, said.fatal, said.peers, said.sessions) == ({}, (), {}, {})
    assert not (machine.member.folder / "state").exists()  # it may be root who looks


def test_without_live_nothing_is_sent(app: App, machine: Machine) -> None:
    assert machine.check() == 0
    assert app.came == []


def test_a_member_without_a_witness_is_named_as_one_that_notices_no_boot(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.check() == 0
    assert "agent.witness is not set" in capsys.readouterr().out
    machine.member.witness = tmp_path / "witness"
    machine.write("")
    assert machine.check() == 0
    assert "agent.witness" not in capsys.readouterr().out


ANSWERS = [
    (202, '{"topology": "hub", "outcome": "pending"}', None),
    (200, "<html>sign in to this network</html>", "which server has this address"),
    (204, "", "which server has this address"),
    (401, "", "the function key is wrong"),
    (
        401,
        '{"error": "no certificate is enrolled for the agent that it names"}',
        "is agent.crt the certificate of this speaker",
    ),
    (401, "You do not have permission", "the function key is wrong"),
    (403, "Ip Forbidden", "network restrictions refuse this machine"),
    (404, "", "must end in /api/reports"),
    (400, '{"error": []}', "of one release"),
    (301, "", "with https"),
    (429, "", "try again"),
    (503, "", "try again"),
    (500, "", "which server has this address"),
    (599, "", "which server has this address"),
]


@pytest.mark.parametrize(("status", "body", "advice"), ANSWERS)
def test_each_answer_says_what_to_do(
    status: int, body: str, advice: str | None, app: App, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    app.status, app.body = status, body
    assert machine.check("--live") == (0 if advice is None else 1)
    said = capsys.readouterr()
    assert str(status) in said.out + said.err
    assert advice is None or (advice in said.err and (body in said.err))


def test_what_a_stranger_answers_cannot_write_on_the_terminal(
    app: App, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    app.status, app.body = 500, "\x1b]0;owned\x07 no"
    assert machine.check("--live") == 1
    assert "\x1b" not in capsys.readouterr().err


def test_an_app_that_does_not_answer_is_named(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.write(f'[reports]\nurl = "http://{fresh_address()}:{PORT}/api/reports"\n')
    assert machine.check("--live") == 1
    assert "no answer" in capsys.readouterr().err


def test_a_configuration_without_reports_has_nothing_to_try(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.write("")
    assert machine.check("--live") == 1
    assert "reports: there is no such section" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_key_for_reports_that_is_missing_or_empty_is_found_before_anything_is_sent(
    content: str | None, app: App, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    key = machine.member.folder / "report.key"
    key.unlink() if content is None else key.write_text(content)
    assert machine.check() == 1
    assert "reports.key_file" in capsys.readouterr().err
    assert app.came == []


# What is tried on the machine itself


def test_a_listener_that_another_program_has_and_an_address_of_another_machine_are_named_at_once(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gossip:
        taken.bind((machine.member.address, 8443))
        taken.listen()
        gossip.bind((machine.member.address, 8444))
        assert machine.check("--live") == 1
        said = capsys.readouterr()
        assert f"listen.command: {machine.member.address} port 8443: another program has it" in said.err
        assert f"listen.gossip: {machine.member.address} port 8444: another program has it" in said.err
        assert f"listen.probe: {machine.member.address} port 8080 is free" in said.out
    machine.member.address = "203.0.113.1"
    machine.file.write_text(machine.member.toml())
    assert machine.check("--live") == 1
    assert "port 8443: this machine does not have the address" in capsys.readouterr().err


def test_an_agent_that_cannot_listen_says_which_listener_and_a_file_that_is_missing_which_one(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind((machine.member.address, 8443))
        taken.listen()
        assert main(["run", str(machine.file)]) == 1
    assert f"listen.command: {machine.member.address} port 8443: another program has it" in capsys.readouterr().err
    key = machine.member.folder / "agent.key"
    key.unlink()
    assert machine.check() == 1
    assert f"hopkeeper-agent: agent.key: {key}: No such file or directory\n" == capsys.readouterr().err


def test_a_key_that_everybody_can_read_is_named(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    key = machine.member.folder / "agent.key"
    key.chmod(0o644)
    assert machine.check("--live") == 1
    assert f"chmod o= {key}" in capsys.readouterr().err


def test_a_key_for_reports_that_would_be_sent_unencrypted_is_named_and_not_sent(
    machine: Machine, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.write(f'[reports]\nurl = "http://10.0.9.4/api/reports"\nkey_file = "{machine.member.folder}/report.key"\n')
    assert machine.check("--live") == 1
    assert "http://10.0.9.4/api/reports: whoever is on the way reads the function's key" in capsys.readouterr().err
    assert app.came == []


async def found(machine: Machine, speaker: str, proc: Path) -> list[Tried]:
    machine.member.extra += speaker
    loaded = config.decode(machine.member.toml())
    return [each async for each in trials(loaded, loading.credentials(loaded).signer, proc)]


SPEAKER = """
[speaker]
kind = "{kind}"
asn = 65001
{more}
[[speaker.neighbors]]
address = "10.0.0.36"
asn = 65515
"""


@pytest.mark.parametrize(
    ("there", "why"),
    [(None, "there is no such socket"), ("left over", "no daemon listens there")],
)
async def test_a_daemon_that_does_not_answer_is_named_with_its_socket(
    there: str | None, why: str, machine: Machine, tmp_path: Path
) -> None:
    vty = tmp_path / "bgpd.vty"
    if there:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(vty))
    said = await found(machine, SPEAKER.format(kind="frr", more=f'vty = "{vty}"'), tmp_path / "proc")
    (about,) = [each for each in said if each.said.startswith("speaker.vty")]
    assert not about.is_well
    assert f"{vty}: {why}" in about.said


def process(proc: Path, pid: str, name: str, network: str = "net:[1]") -> None:
    (proc / pid / "ns").mkdir(parents=True)
    (proc / pid / "comm").write_text(f"{name}\n")
    os.symlink(network, proc / pid / "ns" / "net")


async def test_a_second_program_that_speaks_bgp_here_is_named_and_one_of_another_network_is_not(
    machine: Machine, tmp_path: Path
) -> None:
    proc = tmp_path / "proc"
    process(proc, "self", "hopkeeper-agent")
    process(proc, "11", "bgpd")
    process(proc, "12", "bird", "net:[2]")
    process(proc, "13", "sshd")
    process(proc, "14", "exabgp")
    said = await found(machine, SPEAKER.format(kind="exabgp", more='address = "10.0.1.4"'), proc)
    (about,) = [each for each in said if "speaks BGP" in each.said]
    assert (about.is_well, "bgpd (process 11)" in about.said) == (False, True)
    assert not any(other in about.said for other in ("bird", "sshd", "exabgp (process"))
    (proc / "11" / "comm").write_text("sh\n")
    said = await found(machine, "", proc)
    assert Tried("no second program speaks BGP on this machine") in said


async def test_an_agent_that_runs_is_asked_in_place_of_its_listeners(machine: Machine, tmp_path: Path) -> None:
    async with machine.member.running():
        said = await found(machine, "", tmp_path / "proc")
    assert not any(each.said.startswith("listen.") for each in said)
    assert all(each.is_well for each in said)
