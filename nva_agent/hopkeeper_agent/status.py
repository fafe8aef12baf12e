"""The status object: everything the app may know of this agent, as `contracts/schemas/status.json` has it.

Read-only over the agent's parts; what a reading means is the app's business.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from ipaddress import IPv4Address
from typing import Any

from hopkeeper_agent import __version__
from hopkeeper_agent.checks import Examiner
from hopkeeper_agent.duties import Duties
from hopkeeper_agent.maintenance import Maintenance
from hopkeeper_agent.messages import encode_advertised, encode_advertisements, encode_outward
from hopkeeper_agent.peers import PeerWatch, Reading
from hopkeeper_agent.reports import Bearing
from hopkeeper_agent.role import Advertisement, ServiceState, answers
from hopkeeper_agent.speakers import Session, Speaker

# What all neighbours were sent, beside what was ordered, must not make a reply too long for the app (64 KiB).
SENT_MAX = 32


@dataclass(frozen=True, slots=True)
class Parts:
    """What a status is read from. `probe_open` says whether the probe listener answers at all yet.

    `maintenance` is what the platform is about to do to the machine, `outward` the neighbours on-premises.
    """

    agent: str
    topology: str
    duties: Duties
    examiner: Examiner
    peers: Mapping[str, PeerWatch]
    speaker: Speaker
    probe_open: Callable[[], bool]
    maintenance: Callable[[], Maintenance | None]
    started: float
    monotonic: Callable[[], float]
    now_seconds: Callable[[], float]
    outward: frozenset[IPv4Address] = frozenset()

    def fatal(self) -> tuple[str, ...]:
        """Why the appliance is unfit; empty means fit."""
        return self.examiner.fatal() + tuple(
            f"{name}: {finding.detail}" for name, finding in sorted(self.speaker.findings().items()) if finding.fatal
        )


def status(parts: Parts) -> dict[str, Any]:
    """Return the status as it is now, ready for JSON."""
    fatal = parts.fatal()
    now = parts.monotonic()
    return {
        "agent": parts.agent,
        "topology": parts.topology,
        "version": __version__,
        "boot_id": parts.duties.boot_id,
        "time": datetime.fromtimestamp(parts.now_seconds(), timezone.utc).isoformat(),
        "services": _services(parts, fatal),
        "fatal": list(fatal),
        "checks": {
            name: {
                "value": tally.value.value,
                "detail": tally.detail,
                # Never tried: as old as this agent, which makes it stale for whoever reads it.
                "age_seconds": round(now - (parts.started if tally.tried is None else tally.tried), 3),
            }
            for name, tally in sorted(parts.examiner.tallies.items())
        }
        | {
            name: {"value": finding.value.value, "detail": finding.detail, "age_seconds": 0.0}
            for name, finding in sorted(parts.speaker.findings().items())
        },
        "peers": {name: _peer(watch, now) for name, watch in sorted(parts.peers.items())},
        "sessions": _sessions(parts, outward=False),
        # Apart: they say nothing of what a Route Server hears.
        **({"outward_sessions": _sessions(parts, outward=True)} if parts.outward else {}),
        **_maintenance(parts.maintenance()),
    }


def unknown(agent: str, topology: str, now_seconds: float) -> dict[str, Any]:
    """The status of an agent that does not run: nothing is known of anything, so that nobody can act on it."""
    return {
        "agent": agent,
        "topology": topology,
        "version": __version__,
        "boot_id": uuid.uuid4().hex,
        "time": datetime.fromtimestamp(now_seconds, timezone.utc).isoformat(),
        "services": {},
        "fatal": [],
        "checks": {},
        "peers": {},
        "sessions": {},
    }


def bearing(parts: Parts) -> Bearing:
    """Return what is worth a report when it turns."""
    now = parts.monotonic()
    return Bearing(
        fatal=parts.fatal(),
        failed_peers=frozenset(name for name, watch in parts.peers.items() if watch.failed(now)),
        sessions=tuple(
            (str(address), session.state.value) for address, session in sorted(parts.speaker.sessions().items())
        ),
        maintenance=parts.maintenance(),
        bad_checks=frozenset(_alarms(parts)),
    )


def _alarms(parts: Parts) -> list[str]:
    """The names of checks that are bad and leave the appliance fit."""
    fatal = parts.examiner.fatal_names()
    found = [name for name, tally in parts.examiner.tallies.items() if tally.value is Reading.BAD and name not in fatal]
    findings = parts.speaker.findings().items()
    return found + [name for name, finding in findings if finding.value is Reading.BAD and not finding.fatal]


def _maintenance(coming: Maintenance | None) -> dict[str, Any]:
    if coming is None:
        return {}
    not_before = coming.not_before and coming.not_before.isoformat()
    return {"maintenance": {"kind": coming.kind, "not_before": not_before, "event": coming.event}}


def _services(parts: Parts, fatal: tuple[str, ...]) -> dict[str, Any]:
    """Also those that only peers have told of: an agent that lost its disk stands at none itself."""
    states, heard = parts.duties.states, parts.duties.heard
    return {
        name: _service(state, parts.probe_open() and answers(state, fatal))
        | {"heard": heard.get(name, 0), "durable": parts.duties.is_durable(name)}
        | _outward(state, parts.duties.outward(name))
        for name in sorted(states.keys() | heard.keys())
        for state in [states.get(name, ServiceState())]
    }


def _service(state: ServiceState, answering: bool) -> dict[str, Any]:
    return {
        "epoch": state.turn.epoch,
        "seq": state.turn.seq,
        "role": state.role.value,
        "answering": answering,
        "advertised": encode_advertised(state.advertised),
    }


def _outward(state: ServiceState, told: tuple[Advertisement, ...]) -> dict[str, Any]:
    if state.outward is None:
        return {}
    return {"outward": {**encode_outward(state.outward), "announced": encode_advertisements(told)}}


def _sessions(parts: Parts, *, outward: bool) -> dict[str, Any]:
    return {
        str(address): _session(session)
        for address, session in sorted(parts.speaker.sessions().items())
        if (address in parts.outward) is outward
    }


def _session(session: Session) -> dict[str, Any]:
    told = {"state": session.state.value, "since": session.since and session.since.isoformat()}
    # Left out where it is not known: not every daemon tells.
    return told if session.sent is None else {**told, "sent": encode_advertisements(session.sent[:SENT_MAX])}


def _peer(watch: PeerWatch, now: float) -> dict[str, Any]:
    age = watch.age_seconds(now)
    return {
        "gossip": watch.gossip(now).value,
        "probe": watch.probe().value,
        "age_seconds": None if age is None else round(age, 3),
    }
