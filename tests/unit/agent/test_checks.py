"""Counting of self-checks, and the four kinds against real programs and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hopkeeper_agent.checks import (
    AnyOf,
    Check,
    CommandTrial,
    Examiner,
    Failed,
    ForwardingTrial,
    HttpTrial,
    SessionsTrial,
    Tally,
    TcpTrial,
    Trial,
    UdpTrial,
    Watch,
    WriteTrial,
    excused,
    of_the_disk,
    try_once,
    with_sessions,
)
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.peers import PeerWatch, Reading, Tempo

from lab.packets import namespaces
from tests.unit.agent.stage import fresh_address, until


def after(tally: Tally, *failures: str | None) -> Reading:
    for number, failure in enumerate(failures):
        tally.note(failure, float(number))
    return tally.value


def test_the_first_trial_decides() -> None:
    assert after(Tally(3, 5), None) is Reading.OK
    assert after(Tally(3, 5), "no echo") is Reading.BAD


def test_it_takes_fall_failures_in_a_row_to_turn_bad() -> None:
    tally = Tally(3, 5)
    assert after(tally, None, "no echo", "no echo", None, "no echo", "no echo") is Reading.OK
    assert after(tally, "no echo") is Reading.BAD
    assert tally.detail == "no echo for 3 checks"


def test_it_takes_rise_successes_in_a_row_to_turn_good() -> None:
    tally = Tally(3, 5)
    assert after(tally, "no echo", None, None, None, None, "no echo", None, None, None, None) is Reading.BAD
    assert after(tally, None) is Reading.OK
    assert tally.detail == ""


async def test_tcp_passes_for_an_open_port_and_fails_for_a_closed_one() -> None:
    address = IPv4Address(fresh_address())
    server = await asyncio.start_server(lambda _, writer: writer.close(), str(address), 0)
    port = server.sockets[0].getsockname()[1]
    assert await try_once(Check("c", TcpTrial(address, port))) is None
    server.close()
    await server.wait_closed()
    assert await try_once(Check("c", TcpTrial(address, port))) == "no connection"


@pytest.mark.parametrize(("status", "failure"), [("200 OK", None), ("302 Found", None), ("503 Busy", "status 503")])
async def test_http_looks_at_the_status(status: str, failure: str | None) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: http://10.0.0.1/\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    address = fresh_address()
    async with await asyncio.start_server(answer, address, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await try_once(Check("c", HttpTrial(f"http://{address}:{port}/healthz"))) == failure


async def test_udp_takes_any_reply_and_no_reply_is_a_timeout() -> None:
    address = fresh_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.setblocking(False)
        echo.bind((address, 0))
        check = Check("c", UdpTrial(IPv4Address(address), echo.getsockname()[1], b"ping"), timeout_seconds=0.2)
        loop = asyncio.get_running_loop()
        trying = asyncio.create_task(try_once(check))
        data, sender = await loop.sock_recvfrom(echo, 100)
        await loop.sock_sendto(echo, b"anything", sender)
        assert (data, await trying) == (b"ping", None)
        assert await try_once(check) == "no answer in time"


async def test_one_of_the_packets_of_a_udp_trial_is_enough() -> None:
    address = fresh_address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.setblocking(False)
        echo.bind((address, 0))
        trial = UdpTrial(IPv4Address(address), echo.getsockname()[1], b"ping", packets=3)
        loop = asyncio.get_running_loop()
        trying = asyncio.create_task(try_once(Check("c", trial, timeout_seconds=5.0)))
        senders = [(await loop.sock_recvfrom(echo, 100))[1] for _ in range(3)]
        await loop.sock_sendto(echo, b"anything", senders[-1])
        assert await trying is None


def test_ping_is_answered_by_a_machine_that_is_there_where_the_kernel_permits_it() -> None:
    pinging = namespaces.command("tests.unit.agent.pinging", [])
    said = subprocess.run(pinging, capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(said.stdout) == ["not permitted: net.ipv4.ping_group_range", None, "no route"]


async def test_one_success_of_several_trials_at_once_is_enough_and_all_failures_name_one() -> None:
    outcomes: list[Failed | None] = [Failed("no answer"), None, Failed("no answer")]

    class Next:
        async def run(self) -> None:
            outcome = outcomes.pop(0)
            if outcome is not None:
                raise outcome

    assert await try_once(_quick("any", AnyOf(Next(), 3), fatal=False)) is None
    outcomes = [Failed("refused")] * 3
    assert await try_once(_quick("any", AnyOf(Next(), 3), fatal=False)) == "refused"


def test_what_is_watched_makes_nothing_here_unfit() -> None:
    check = Watch("fw-a", TcpTrial(IPv4Address("10.0.1.4"), 22)).check
    assert (check.name, check.fatal, check.shared) == ("fw-a", False, False)
    assert check.trial == AnyOf(TcpTrial(IPv4Address("10.0.1.4"), 22), 3)


def test_the_time_of_the_last_success_is_kept() -> None:
    tally = Tally(3, 5)
    after(tally, None, None, "no echo", "no echo")
    assert (tally.passed, tally.tried) == (1.0, 3.0)


async def test_udp_to_a_closed_port_fails_at_once() -> None:
    check = Check("c", UdpTrial(IPv4Address(fresh_address()), 9, b"ping"), timeout_seconds=5.0)
    assert await try_once(check) == "no echo"


@pytest.mark.parametrize(
    ("argv", "failure"),
    [
        (("true",), None),
        (("false",), "exit code 1"),
        (("/does/not/exist",), "cannot be started"),
        (("sleep", "60"), "no answer in time"),
    ],
)
async def test_a_command_is_judged_by_its_exit_code(argv: tuple[str, ...], failure: str | None) -> None:
    assert await try_once(Check("c", CommandTrial(argv), timeout_seconds=0.5)) == failure


@pytest.mark.parametrize(
    ("value", "failure"), [("1\n", None), ("0\n", "forwarding is off"), (None, "{path} cannot be read")]
)
async def test_forwarding_is_what_the_kernel_says(tmp_path: Path, value: str | None, failure: str | None) -> None:
    path = tmp_path / "ip_forward"
    if value is not None:
        path.write_text(value)
    assert await try_once(Check("c", ForwardingTrial(path))) == (failure and failure.format(path=path))


@pytest.mark.parametrize(("established", "failure"), [(2, None), (1, "1 of 2 sessions established")])
async def test_sessions_are_counted(established: int, failure: str | None) -> None:
    [check] = with_sessions([Check("c", SessionsTrial(2))], lambda: established)
    assert await try_once(check) == failure


async def test_a_command_that_takes_too_long_leaves_no_process_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '60']);"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    trying = asyncio.create_task(
        try_once(Check("c", CommandTrial((sys.executable, "-c", script)), timeout_seconds=2.0))
    )
    await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
    assert await trying == "no answer in time"
    stat = Path(f"/proc/{pid_file.read_text()}/stat")
    await until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")


class Scripted:
    """A trial that is good while `good`."""

    def __init__(self) -> None:
        self.good = True

    async def run(self) -> None:
        if not self.good:
            raise RuntimeError("a trial with a mistake in it")


async def test_a_fatal_check_makes_the_appliance_unfit_and_another_one_does_not() -> None:
    trials = Scripted(), Scripted()
    turned: list[str] = []
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    checks = [_quick("data-path", trials[0], fatal=True), _quick("uplink", trials[1], fatal=False)]
    examiner = Examiner(checks, clock, lambda: turned.append("turned"))
    examiner.start()
    await until(lambda: all(tally.value is Reading.OK for tally in examiner.tallies.values()))
    assert examiner.failing() == {}
    trials[0].good = trials[1].good = False
    await until(lambda: all(tally.value is Reading.BAD for tally in examiner.tallies.values()))
    assert examiner.failing() == {"data-path": False}
    assert examiner.tallies["data-path"].detail == "the check itself broke for 2 checks"
    assert len(turned) == 4
    await examiner.close()


def _quick(name: str, trial: Trial, *, fatal: bool) -> Check:
    return Check(name, trial, fatal, period_seconds=0.01, fall=2, rise=2)


def peer(*failing: str, heard: bool = True, says: bool = True, is_witness: bool = False) -> PeerWatch:
    """A peer at 200 s that fails these checks."""
    watch = PeerWatch(Tempo(0.1, 3), 100.0)
    if heard:
        watch.receive("a" * 32, 1, True, 200.0)
    watch.failing, watch.is_witness = frozenset(failing) if says else None, is_witness
    return watch


@pytest.mark.parametrize(
    ("peers", "alone", "shared"),
    [
        ([peer("echo")], True, True),
        ([peer("echo"), peer("echo", "other")], True, True),
        ([peer("echo"), peer()], False, False),
        ([peer("other")], False, False),
        ([peer("echo"), peer("echo", heard=False)], False, True),
        ([peer("echo", heard=False)], False, True),
        ([peer(says=False)], False, True),
        ([peer("echo"), peer(is_witness=True)], True, True),
        ([peer(is_witness=True)], False, True),
        ([], False, True),
    ],
    ids=[
        "every peer fails it", "each of two", "one passes it", "it fails another", "one is silent", "all are silent",
        "one of version 1", "a witness does not count", "only a witness", "no peer",
    ],
)  # fmt: skip
def test_a_holder_is_excused_where_every_peer_fails_the_same_check_and_of_a_shared_one_where_none_passes(
    peers: list[PeerWatch], alone: bool, shared: bool
) -> None:
    assert excused({"echo": False}, peers, 200.1) == (frozenset({"echo"}) if alone else frozenset())
    assert excused({"echo": True}, peers, 200.1) == (frozenset({"echo"}) if shared else frozenset())


async def test_the_directory_of_the_state_file_is_written_and_left_as_it_was(tmp_path: Path) -> None:
    check = of_the_disk(tmp_path)
    assert await try_once(check) is None
    assert list(tmp_path.iterdir()) == []
    assert check.fatal is False
    missing = of_the_disk(tmp_path / "gone")
    assert await try_once(missing) == f"{tmp_path / 'gone'} takes no write: No such file or directory"


async def test_a_write_that_hangs_is_not_followed_by_a_second_one(tmp_path: Path) -> None:
    """A FIFO without a reader: opening it to write waits."""
    os.mkfifo(tmp_path / ".written")
    check = Check("disk", WriteTrial(tmp_path), timeout_seconds=0.05)
    before = threading.active_count()
    for _ in range(3):
        assert await try_once(check) == "no answer in time"
    assert threading.active_count() == before + 1
    os.close(os.open(tmp_path / ".written", os.O_RDONLY | os.O_NONBLOCK))
