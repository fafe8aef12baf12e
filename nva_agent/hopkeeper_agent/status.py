"""The status object: everything the app may know of this agent, as `contracts/schemas/status.json` has it.

Read-only over the agent's parts; what a reading means is the app's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from hopkeeper_agent import __version__
from hopkeeper_agent.checks import Examiner
from hopkeeper_agent.duties import Duties
from hopkeeper_agent.messages import encode_advertised
from hopkeeper_agent.peers import PeerWatch
from hopkeeper_agent.reports import Bearing
from hopkeeper_agent.role import ServiceState, answers
from hopkeeper_agent.speakers import Speaker


@dataclass(frozen=True, slots=True)
class Parts:
    """What a status is read from. `probe_open` says whether the probe listener answers at all yet."""

    agent: str
    topology: str
    duties: Duties
    examiner: Examiner
    peers: Mapping[str, PeerWatch]
    speaker: Speaker
    probe_open: Callable[[], bool]
    started: float
    monotonic: Callable[[], float]
    now_seconds: Callable[[], float]


def status(parts: Parts) -> dict[str, Any]:
    """Return the status as it is now, ready for JSON."""
    fatal = parts.examiner.fatal()
    now = parts.monotonic()
    return {
        "agent": parts.agent,
        "topology": parts.topology,
        "version": __version__,
        "boot_id": parts.duties.boot_id,
        "time": datetime.fromtimestamp(parts.now_seconds(), timezone.utc).isoformat(),
        "services": {
            name: _service(state, parts.probe_open() and answers(state, fatal))
            for name, state in sorted(parts.duties.states.items())
        },
        "fatal": list(fatal),
        "checks": {
            name: {
                "value": tally.value.value,
                "detail": tally.detail,
                # Never tried: as old as this agent, which makes it stale for whoever reads it.
                "age_seconds": round(now - (parts.started if tally.tried is None else tally.tried), 3),
            }
            for name, tally in sorted(parts.examiner.tallies.items())
        },
        "peers": {name: _peer(watch, now) for name, watch in sorted(parts.peers.items())},
        "sessions": {
            str(address): {"state": session.state.value, "since": session.since and session.since.isoformat()}
            for address, session in sorted(parts.speaker.sessions().items())
        },
    }


def bearing(parts: Parts) -> Bearing:
    """Return what is worth a report when it turns."""
    now = parts.monotonic()
    return Bearing(
        fatal=parts.examiner.fatal(),
        failed_peers=frozenset(name for name, watch in parts.peers.items() if watch.failed(now)),
        sessions=tuple(
            (str(address), session.state.value) for address, session in sorted(parts.speaker.sessions().items())
        ),
    )


def _service(state: ServiceState, answering: bool) -> dict[str, Any]:
    return {
        "epoch": state.turn.epoch,
        "seq": state.turn.seq,
        "role": state.role.value,
        "answering": answering,
        "advertised": encode_advertised(state.advertised),
    }


def _peer(watch: PeerWatch, now: float) -> dict[str, Any]:
    age = watch.age_seconds(now)
    return {
        "gossip": watch.gossip(now).value,
        "probe": watch.probe().value,
        "age_seconds": None if age is None else round(age, 3),
    }
