"""Measures how long an order takes to reach the neighbours, for each daemon there is.

    python -m tests.unit.agent.measure_speakers [RUNS] [FILE]

Twice: from the speaker's `announce` to the UPDATE's arrival at both instances (and its return, when it is certain), and
from the dispatch of a signed command over a new HTTPS connection (and its signed reply), all ends in one process.
Every order replaces the next hop and the prepending of one prefix; what is counted besides are UPDATEs and withdrawals.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from hopkeeper_agent import config, loading
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.role import Advertisement

from tests.unit.agent.bgp_wire import ASN, PORT, Route, WirePeer, wire_peer
from tests.unit.agent.daemons import BGPD, MISSING, real_daemon
from tests.unit.agent.stage import Member, advertise, fresh_address, new_signer, until

Announce = Callable[[Sequence[Advertisement]], Awaitable[None]]
PREFIX = IPv4Network("100.64.0.1/32")
PAUSE_SECONDS = 0.1


async def measure(kind: str, runs: int) -> dict[str, Any]:
    """Times in milliseconds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hk-")))
        member = Member("nva-a", folder / "nva-a", new_signer())
        addresses = [fresh_address(), fresh_address()]
        if kind == "exabgp":
            listed = "".join(f'[[speaker.neighbors]]\naddress = "{peer}"\nasn = {ASN}\n' for peer in addresses)
            head = f'[speaker]\nkind = "exabgp"\naddress = "{member.address}"\nasn = 65001\nport = {PORT}\n'
            member.extra = head + listed
        else:
            daemon = stack.enter_context(real_daemon(kind, member.address, addresses))
            member.extra = daemon.speaker()
            daemon.start()
        peers = [await stack.enter_async_context(wire_peer(address)) for address in addresses]
        agent = await stack.enter_async_context(member.running())
        try:
            await until(lambda: _established(agent), 20)
            await asyncio.sleep(2)  # FRR batches for a second after a session came up
            by_command = await _times(_commander(member), peers, runs)
            await agent.close()
            speaker = loading.speaker(config.decode(member.toml()), lambda: None)
            await speaker.start()
            alone = await _times(speaker.announce, peers, runs)
            await speaker.close()
            return {"announce": alone, "command": by_command}
        finally:
            process = loading.process(config.decode(member.toml()))
            if process is not None:
                await process.end()


def _established(agent: Agent) -> bool:
    return [session["state"] for session in agent.status()["sessions"].values()] == ["established"] * 2


def _commander(member: Member) -> Announce:
    turns = itertools.count(1)

    async def command(items: Sequence[Advertisement]) -> None:
        listed = [(str(item.prefix), str(item.next_hop), item.prepend) for item in items]
        status, reply = await member.send(advertise(1, listed, next(turns)))
        assert status == 200, reply["reason"]

    return command


async def _times(announce: Announce, peers: list[WirePeer], runs: int) -> dict[str, Any]:
    received, returned = [], []
    await announce([Advertisement(PREFIX, IPv4Address("10.0.1.100"), 3)])
    await until(lambda: all(len(peer.routes().get(str(PREFIX), Route("", ())).path) == 4 for peer in peers))
    for peer in peers:
        peer.forget()
    for run in range(runs):
        await asyncio.sleep(PAUSE_SECONDS)
        began = time.monotonic()
        await announce([Advertisement(PREFIX, IPv4Address("10.0.1.101") + run % 2, run % 4)])
        returned.append(time.monotonic() - began)
        await until(lambda run=run: all(len(peer.updates) > run for peer in peers))  # type: ignore[misc]
        received.append(max(peer.updates[run].at for peer in peers) - began)
    await asyncio.sleep(6)  # what comes late counts too
    return {
        "runs": runs,
        "received_ms": _summary(received),
        "returned_ms": _summary(returned),
        "updates_per_session": [len(peer.updates) for peer in peers],
        "withdrawals_per_session": [sum(bool(update.withdrawn) for update in peer.updates) for peer in peers],
    }


def _summary(seconds: list[float]) -> dict[str, Any]:
    values = [round(1000 * value, 2) for value in seconds]
    return {"median": round(statistics.median(values), 2), "min": min(values), "max": max(values), "all": values}


def _version(kind: str) -> str:
    if kind == "exabgp":
        return f"ExaBGP {version('exabgp')}"
    command = ["bird", "--version"] if kind == "bird" else [str(BGPD), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    return (printed.stdout + printed.stderr).splitlines()[0]


def main(arguments: list[str]) -> None:
    runs = int(arguments[0]) if arguments else 20
    target = Path(arguments[1] if len(arguments) > 1 else "build/speakers.json")
    found: dict[str, Any] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "announce": "from the speaker's announce, until both neighbours have the UPDATE (received), until it returns",
        "command": "the same from a signed command over a new HTTPS connection, with its reply; all ends in one process",
        "daemons": {},
    }
    for kind, missing in MISSING.items():
        measured = {"missing": missing} if missing else asyncio.run(measure(kind, runs))
        found["daemons"][kind] = measured if missing else {"version": _version(kind), **measured}
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(json.dumps(found["daemons"]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
