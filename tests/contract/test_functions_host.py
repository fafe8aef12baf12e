"""Every recorded exchange with the genuine Functions host, played against the lab's: the one that every test and lab starts.

The recordings are of host 4.1037.0 (tests/fixtures/SOURCES.md). What differs on purpose is in DIFFERS, each with its reason;
what is recorded and is no single exchange is in LEFT_OUT, with what holds it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.functions_host_replay import QUIET, Journal, Placeholders, Replay
from tests.entrypoint.apps.serving import REPOSITORY, serving

RECORDINGS = REPOSITORY / "tests" / "fixtures" / "functions_host"
TWIN = REPOSITORY / "tests" / "entrypoint" / "apps" / "twin"
GROUPS = ("1-keys", "2-routing", "3-http", "4-results", "6-event-grid", "9-admin")
SAID = {"body", "header content-type"}
"""An answer of the same status, with a word about it."""
UNREAD = SAID | {"status", "received"}
DIFFERS: dict[str, dict[str, set[str]]] = {
    "aiohttp refuses it with a line of text, the genuine host without a word": {
        "2-routing/GET with raw UTF-8 letters in the path": SAID | {"header connection"},
        "2-routing/GET /api/open with the query ?a=ü": SAID | {"header connection"},
        "2-routing/CONNECT /api/status": SAID,
        "3-http/two different Content-Length": SAID | {"header connection"},
        "3-http/Content-Length not a number": SAID | {"header connection"},
        "3-http/junk instead of HTTP": SAID | {"header connection"},
        "3-http/folded header": SAID | {"header connection"},
        "3-http/header name with a blank before the colon": SAID | {"header connection"},
    },
    "aiohttp reads HTTP more strictly, and no client of the app sends this": {
        "2-routing/get /api/status": UNREAD,
        "3-http/chunked and Content-Length together": UNREAD | {"header connection"},
        "3-http/broken chunk": UNREAD,
        "3-http/headers: doubled Accept, Cookie, User-Agent": UNREAD,
        "3-http/HTTP/2 preface without TLS": SAID | {"status"},
        "3-http/HTTP/1.1 Upgrade: h2c": {"received"},
    },
    "what is sent with a status 1xx is no answer that a client reads": {
        "4-results/status 100 with a body": {"body"},
        "4-results/status 101 with a body": {"body", "header connection", "end"},
        "4-results/status 102 with a body": {"body"},
        "4-results/status 103 with a body": {"body"},
        "4-results/status 199 with a body": {"body"},
    },
    "the genuine host's page is 150 kB of advertisement": {
        "2-routing/GET / without a key": {"body"},
        "2-routing/POST /": {"body"},
        "2-routing/OPTIONS /": {"body"},
    },
    "the admin API's parts about the genuine host itself are refused as there, and not served": {
        "9-admin/GET /admin/host/config with the master key": SAID | {"status"},
        "9-admin/GET /admin/host/processes with the master key": SAID | {"status"},
        "9-admin/GET /admin/host/extensionBundle/v1/templates with the master key": SAID,
        "9-admin/GET /admin/functions/download with the master key": SAID | {"status", "header content-disposition"},
        "9-admin/POST /admin/host/log with the master key": {"status"},
    },
    "Python's JSON knows no comma too many, and Event Grid sends none": {
        "6-event-grid/trailing comma": {"status", "received"}
    },
    "on the genuine host it differs from run to run": {
        "4-results/header value not ASCII (latin-1)": {"header content-type"},
        "4-results/header name empty": {"header content-type"},
    },
    "recorded before the run had begun": {
        "9-admin/run the queue function, a run of 2 s: the answer comes before its end": {"received"},
    },
}
"""What is otherwise on purpose, or is the library's: by the reason the exchanges, and what of each."""
LEFT_OUT = {
    r"1-keys/(secrets blob|names of all secrets)": "the lab's keys are in a file: tests/entrypoint/test_host_process.py",
    r"3-http/an answer that takes 245 s": "the lab has the 230 s of the platform's front end: test_host_answers.py",
    r"3-http/POST 200 MB$": "the client is cut off while it sends",
    r"4-results/an HTTP function without an http output": "the app has none, and the twin neither",
    r"5-concurrency/": "loads, and the end of a worker by functionTimeout: test_host_process.py",
    r"7-queue/": "messages over minutes: test_host_queue_listener.py, on a virtual clock",
    r"8-timer/": "schedules over minutes: test_host_timers.py",
    r"10-start/": "a host of its own each: test_host_process.py",
}
"""Of every recording that is no single exchange with a host that serves, by its name: what holds it, or why not."""


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    journal = Journal(tmp_path / "journal")
    settings = {
        "TWIN_JOURNAL": str(journal.file),
        "HOPKEEPER_SWEEP_SCHEDULE": "0 0 0 1 1 *",
        "WEBSITE_HOSTNAME": "twin.example",
    }
    with serving(TWIN, tmp_path, arguments=["--placeholder"], **settings) as host:
        yield Replay(Placeholders(host.url.removeprefix("http://"), _by_recorded_name(host.keys)), journal)
    journal.close()


@pytest.mark.parametrize("group", GROUPS)
def test_the_labs_host_answers_as_the_genuine_one_but_for_what_is_listed(replay: Replay, group: str) -> None:
    played = {f"{group}/{one['name']}": replay.differences(one) for one in recorded(group)}
    assert replay.journal.runs(0, QUIET) == [], "runs that nothing requested"
    listed = {name: fields for why in DIFFERS.values() for name, fields in why.items() if name in played}
    assert {name: fields for name, fields in played.items() if fields} == listed


def test_every_recording_is_played_or_left_out_for_a_reason() -> None:
    rest = [one["name"] for one in json.loads((RECORDINGS / "left-out.json").read_text())]
    reasons = {name: [form for form in LEFT_OUT if re.match(form, name)] for name in rest}
    assert [name for name, forms in reasons.items() if len(forms) != 1] == []
    assert {forms[0] for forms in reasons.values()} == set(LEFT_OUT)
    played = sum(len(recorded(group)) for group in GROUPS)
    assert (played, len(rest)) == (643, 138)
    assert {file.stem for file in RECORDINGS.glob("*.json")} == {*GROUPS, "left-out"}


def test_nothing_else_is_started_as_a_functions_host() -> None:
    """Who starts a host, a test, the lab or a person, starts the one that the recordings are played against."""
    started = re.compile(r"(?:-m|\"-m\",) \"?(\w*\.?\w*functions_host\w*|azure_functions\w*)\b")
    files = [file for folder in ("lab", "tests", "proving", "tools") for file in (REPOSITORY / folder).rglob("*.py")]
    found = {match[1] for file in files for match in started.finditer(file.read_text())}
    assert found == {"tools.functions_host"}


def recorded(group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDINGS / f"{group}.json").read_text())
    return found


def _by_recorded_name(keys: Any) -> dict[str, str]:
    own = {f"KEY_{name}_default": held["default"] for name, held in keys["perFunction"].items()}
    return own | {
        "KEY_master": keys["master"],
        "KEY_host_default": keys["functions"]["default"],
        "KEY_system_eventgrid_extension": keys["system"]["eventgrid_extension"],
    }
