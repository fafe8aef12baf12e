"""One instance of a Route Server as a speaker sees it: a receiving ExaBGP on loopback that writes down the UPDATEs it gets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.bgp import read_update

PORT = 1790
ASN = 65515
DUMP = Path(__file__).with_name("bgp_dump.py")
ENVIRONMENT = {
    "exabgp.api.cli": "false",
    "exabgp.daemon.drop": "false",
    "exabgp.tcp.port": str(PORT),
    "exabgp.log.level": "CRITICAL",
}


@dataclass(frozen=True)
class Update:
    """One UPDATE as received; announced is {prefix: (next hop, AS path)}."""

    announced: dict[str, tuple[str, list[int]]]
    withdrawn: list[str]


class Receiver:
    """What was received, read again each time."""

    def __init__(self, events: Path) -> None:
        self._events = events

    def events(self) -> list[dict[str, Any]]:
        lines = self._events.read_text().splitlines() if self._events.exists() else []
        # The last line may be half written.
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def states(self) -> list[str]:
        """The session's states, oldest first, without bare TCP connections."""
        found = [event["neighbor"]["state"] for event in self.events() if event["type"] == "state"]
        return [state for state in found if state != "connected"]

    def updates(self) -> list[Update]:
        """The UPDATEs, oldest first, without End-of-RIB."""
        messages = [event["neighbor"]["message"] for event in self.events() if event["type"] == "update"]
        return [_update(message["update"]) for message in messages if "update" in message]

    def routes(self) -> dict[str, tuple[str, list[int]]]:
        """The routes in force: what was announced and not withdrawn since the last session came up."""
        routes: dict[str, tuple[str, list[int]]] = {}
        for event in self.events():
            if event["type"] == "state":
                routes = {}
            elif "update" in event["neighbor"].get("message", {}):
                update = _update(event["neighbor"]["message"]["update"])
                routes |= update.announced
                for prefix in update.withdrawn:
                    routes.pop(prefix, None)
        return routes


@contextmanager
def receiving(folder: Path, address: str, peer: str, peer_asn: int = 65001) -> Iterator[Receiver]:
    """Run a receiver for one peer; its process is gone afterwards."""
    folder.mkdir(exist_ok=True)
    events = folder / "events"
    configuration = folder / "exabgp.conf"
    configuration.write_text(f"""
process dump {{ run {sys.executable} {DUMP} {events}; encoder json; }}
neighbor {peer} {{
    router-id {address}; local-address {address}; local-as {ASN}; peer-as {peer_asn};
    hold-time 30; passive true; listen {PORT}; family {{ ipv4 unicast; }}
    api {{ processes [ dump ]; neighbor-changes; receive {{ parsed; update; }} }}
}}
""")
    program = str(Path(sys.executable).with_name("exabgp"))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "server", str(configuration)],
            env={**os.environ, **ENVIRONMENT, "exabgp.tcp.bind": address},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Receiver(events)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _update(update: dict[str, Any]) -> Update:
    read = read_update(update)
    announced = {str(network): (str(next_hop), list(read.as_path)) for network, next_hop in read.announced.items()}
    return Update(announced, [str(network) for network in read.withdrawn])
