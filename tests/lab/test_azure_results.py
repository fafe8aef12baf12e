"""The Azure lab's results sheet: filed on the load tester by real programs, and read into what `make lab` files."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.packets import azure_results
from lab.packets.fault_runner import COLUMNS, carrier, file_line
from lab.packets.prober import PORT
from lab.packets.readings import Reply
from tests.unit.agent.stage import fresh_address

ROOT = Path(__file__).resolve().parents[2]
LINE = {"round": "1", "contender": "watcher", "fault": "service", "victim": "ws1", "after": "ws2",
        "address": "100.64.0.1", "struck": "101.0", "ended": "106.0"}  # fmt: skip


def replied(silent_from: float, silent_to: float) -> list[Reply]:
    """Fifty a second from 100 to 106, ws1 before a silence and ws2 after it."""
    sent = [(number, 100 + number / 50) for number in range(300)]
    return [
        Reply(number, at, at + 0.001, "ws1" if at < silent_from else "ws2")
        for number, at in sent
        if not silent_from <= at < silent_to
    ]


def test_a_run_is_the_longest_silence_around_its_fault() -> None:
    (run,) = azure_results.runs([LINE], {"100.64.0.1": replied(101.5, 103.0)})
    assert (run["contender"], run["fault"], run["victim"], run["after"], run["round"]) == (
        "watcher", "service", "ws1", "ws2", 1,
    )  # fmt: skip
    assert run["outage_seconds"] == pytest.approx(1.52)
    assert run["began"] == pytest.approx(0.48)
    assert (run["lost"], run["moves"], run["two_serving_packets"]) == (75, 1, 0)


def test_a_packet_that_the_old_one_carries_late_is_counted() -> None:
    late = [*replied(101.5, 103.0), Reply(500, 104.01, 104.02, "ws1")]
    (run,) = azure_results.runs([LINE], {"100.64.0.1": late})
    assert run["two_serving_packets"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contender": "magic"}, "magic is none of"),
        ({"struck": "soon"}, "could not convert"),
        ({"address": "100.64.0.9"}, "100.64.0.9"),
        ({"struck": "901", "ended": "906"}, "no packet was answered"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(azure_results.SheetError, match=r"line 3: .*" + message):
        azure_results.runs([LINE, LINE | change], {"100.64.0.1": replied(101.5, 103.0)})


def test_what_is_filed_has_the_shape_of_the_labs_own(tmp_path: Path) -> None:
    filed = filed_document(tmp_path)
    assert list(filed) == ["date", "machine", "order", "rows", "failures", "runs"]
    assert list(filed["machine"]) == ["system", "kernel", "cores", "python"]
    assert list(filed["order"]) == ["names", "runs", "faults", "loss", "damping"]
    (row,) = filed["rows"]
    assert (row["contender"], row["fault"], row["spread"]["runs"], row["computed"]) == ("watcher", "service", 1, False)
    assert row["seconds"] == [filed["runs"][0]["outage_seconds"]]
    assert filed["machine"]["system"] == "Azure uksouth"


def filed_document(folder: Path) -> dict[str, Any]:
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(LINE)
    message = {"system": "#1 SMP", "kernel": "6.8.0", "cores": 2, "python": "3.12.3"}
    (folder / "results.machine.json").write_text(json.dumps(message))
    lines = [f"{one.number} {one.sent:.6f} {one.received:.6f} {one.server}\n" for one in replied(101.5, 103.0)]
    (folder / "100.64.0.1").write_text("".join(lines))
    out = folder / "out" / "lab.json"
    assert azure_results.main([str(folder / "results.csv"), "--place", "Azure uksouth", "--out", str(out)]) == 0
    filed: dict[str, Any] = json.loads(out.read_text())
    return filed


def steady(begin: float, end: float, server: str, period: float = 0.02) -> list[tuple[float, str]]:
    return [(begin + n * period, server) for n in range(round((end - begin) / period))]


@pytest.mark.parametrize(
    ("replies", "found"),
    [
        (steady(98, 100, "ws1"), "ws1"),
        (steady(98, 99.6, "ws1") + steady(99.6, 100, "ws2"), None),
        (steady(98, 99.2, "ws1") + steady(99.5, 100, "ws1"), None),
        (steady(98, 99.8, "ws1"), None),
        (steady(99.5, 100, "ws1"), None),
        ([], None),
    ],
    ids=["steady", "two carry", "a pause", "silent now", "too short", "nothing"],
)
def test_who_carries_all_packets_is_known_after_a_steady_second(
    replies: list[tuple[float, str]], found: str | None
) -> None:
    assert carrier(replies, 0.0, 100.0) == found


def test_rounds_are_counted_by_contender_and_fault(tmp_path: Path) -> None:
    given = {key: value for key, value in LINE.items() if key != "round"}
    path = tmp_path / "results.csv"
    numbers = [file_line(path, given | {"fault": fault}) for fault in ("service", "silent", "service")]
    assert numbers == [1, 1, 2]
    assert [one["round"] for one in csv.DictReader(path.read_text().splitlines())] == ["1", "1", "2"]


# --- with packets


@contextmanager
def running(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *argv], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def conduct(folder: Path, address: str, victim: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    argv = ["--answered", str(folder / address), "--sheet", str(folder / "results.csv"), "--contender", "watcher"]
    played = ["--fault", "service", "--victim", victim, "--within", "20", "--", *command]
    program = [sys.executable, str(ROOT / "lab" / "packets" / "fault_runner.py")]
    until = time.monotonic() + 40
    while True:
        done = subprocess.run([*program, *argv, *played], capture_output=True, text=True, timeout=60, check=False)
        # Nothing was done yet: the first packets, or a machine too busy to send them evenly.
        if "no NVA" not in done.stderr or time.monotonic() > until:
            return done


def test_a_fault_that_is_played_on_real_packets_becomes_a_run(tmp_path: Path) -> None:
    address = fresh_address()
    serve = ["-m", "lab.echo", "--address", address, "--port", str(PORT), "--name"]
    prober = ["-m", "lab.packets.prober", "--to", address, "--out", str(tmp_path / address)]
    (tmp_path / address).touch()
    with running(*serve, "ws1") as first, running(*prober):
        # Nothing is done, and nothing filed, unless the victim carries the packets.
        refused = conduct(tmp_path, address, "ws2", ["kill", str(first.pid)])
        assert (refused.returncode, "ws1 carries all packets" in refused.stderr) == (2, True)
        script = (
            f"kill -9 {first.pid}; sleep 0.3; exec '{sys.executable}' {' '.join(serve)} ws2 >/dev/null 2>&1 & echo $!"
        )
        done = conduct(tmp_path, address, "ws1", ["sh", "-c", f"{script} > {tmp_path}/pid"])
        subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    filed = azure_results.document(tmp_path / "results.csv", "here")
    assert [(one["victim"], one["after"]) for one in lines] == [("ws1", "ws2")]
    assert 0.2 < filed["runs"][0]["outage_seconds"] < 20
    assert filed["runs"][0]["two_serving_packets"] == 0
