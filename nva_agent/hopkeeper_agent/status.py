"""The status object: everything the app may know of this agent, as `contracts/schemas/status.json` has it.

It only reads the agent's parts; what a reading means is for the app to decide.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from hopkeeper_agent import __version__
from hopkeeper_agent.checks import Examiner, Tally, excused
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.duties import Duties
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.maintenance import Lookout, Maintenance
from hopkeeper_agent.messages import encode_advertised, encode_advertisements, encode_outward
from hopkeeper_agent.peers import PeerWatch, Reading
from hopkeeper_agent.reports import Reportable
from hopkeeper_agent.role import Advertisement, Role, ServiceState, Toward, answers
from hopkeeper_agent.speakers import Session, SessionState, Speaker

SENT_MAX = 32
"""So many sent routes of a session are listed: all of them could make a reply too long for the app (64 KiB)."""


class Opening(Protocol):
    """The probe's listener."""

    @property
    def is_open(self) -> bool:
        """Whether the load balancer gets any answer at all yet."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a status is read from. `lookout` is None where Scheduled Events are not read."""

    identity: Identity
    clock: Clock
    duties: Duties
    examiner: Examiner
    peers: Mapping[str, PeerWatch]
    speaker: Speaker
    probe: Opening
    lookout: Lookout | None = None
    watched: Mapping[str, Tally] = field(default_factory=dict)
    """By member without an agent that this one watches."""

    @property
    def maintenance(self) -> Maintenance | None:
        """What Azure is about to do to the machine."""
        return None if self.lookout is None else self.lookout.coming

    def fatal(self) -> tuple[str, ...]:
        """Why the appliance is unfit; empty means fit."""
        findings = sorted(self.speaker.findings().items())
        counted = [name for name in self.examiner.failing() if name not in self._excused()]
        return self._said(counted) + tuple(f"{name}: {found.detail}" for name, found in findings if found.fatal)

    def excused(self) -> tuple[str, ...]:
        """In spite of which failing checks it goes on answering."""
        return self._said(sorted(self._excused()))

    def _excused(self) -> frozenset[str]:
        failing = self.examiner.failing()
        if not failing or all(state.role is Role.STANDBY for state in self.duties.states.values()):
            return frozenset()
        return excused(failing, self.peers.values(), self.clock.monotonic())

    def _said(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{name}: {self.examiner.tallies[name].detail}" for name in names)


def status(parts: Parts) -> dict[str, Any]:
    """Return the status as it is now, ready for JSON."""
    now = parts.clock.monotonic()
    outward_sessions = _sessions(parts, Toward.OUTWARD)
    return {
        **_head(parts.identity, parts.duties.boot_id, parts.clock.wall()),
        "services": _services(parts),
        "fatal": list(parts.fatal()),
        **({"excused": list(parts.excused())} if parts.excused() else {}),
        "checks": _checks(parts, now) | _findings(parts),
        "peers": dict(sorted((_peers(parts, now) | _watched(parts, now)).items())),
        "sessions": _sessions(parts, Toward.ROUTE_SERVERS),
        # Apart, as they are no evidence of what a Route Server has learned.
        **({"outward_sessions": outward_sessions} if outward_sessions else {}),
        **_maintenance(parts.maintenance),
    }


def unknown(identity: Identity, now_seconds: float) -> dict[str, Any]:
    """The status of an agent that does not run, at seconds since 1970: it claims nothing, so nothing can follow from it."""
    return {
        **_head(identity, uuid.uuid4().hex, now_seconds),
        "services": {},
        "fatal": [],
        "checks": {},
        "peers": {},
        "sessions": {},
    }


def reportable(parts: Parts) -> Reportable:
    """Return the part of the status in which a change is reported."""
    now = parts.clock.monotonic()
    failed = frozenset(name for name, watch in parts.peers.items() if watch.failed(now))
    failed |= {name for name, tally in parts.watched.items() if tally.value is Reading.BAD}
    sessions = sorted(parts.speaker.sessions().items())
    return Reportable(
        fatal=parts.fatal(),
        failed_peers=failed,
        sessions=tuple((str(address), session.state.value) for address, session in sessions),
        maintenance=parts.maintenance,
        bad_checks=frozenset(_alarms(parts)),
    )


def _head(identity: Identity, boot_id: str, now_seconds: float) -> dict[str, Any]:
    return {
        "agent": identity.agent,
        "topology": identity.topology,
        "version": __version__,
        "boot_id": boot_id,
        "time": datetime.fromtimestamp(now_seconds, timezone.utc).isoformat(),
    }


def _alarms(parts: Parts) -> list[str]:
    """The names of checks that are bad and leave the appliance fit."""
    fatal = {reason.split(":")[0] for reason in parts.fatal()}
    found = [name for name, tally in parts.examiner.tallies.items() if tally.value is Reading.BAD and name not in fatal]
    findings = parts.speaker.findings().items()
    return found + [name for name, finding in findings if finding.value is Reading.BAD and not finding.fatal]


def _checks(parts: Parts, now: float) -> dict[str, Any]:
    return {
        name: {"value": tally.value.value, "detail": tally.detail, "age_seconds": round(now - tally.tried, 3)}
        for name, tally in sorted(parts.examiner.tallies.items())
    }


def _findings(parts: Parts) -> dict[str, Any]:
    return {
        name: {"value": finding.value.value, "detail": finding.detail, "age_seconds": 0.0}
        for name, finding in sorted(parts.speaker.findings().items())
    }


def _maintenance(coming: Maintenance | None) -> dict[str, Any]:
    if coming is None:
        return {}
    not_before = coming.not_before and coming.not_before.isoformat()
    return {"maintenance": {"kind": coming.kind, "not_before": not_before, "event": coming.event}}


def _services(parts: Parts) -> dict[str, Any]:
    """Also services known from peers alone: an agent that lost its disk has no state of its own for them."""
    return {name: _service(parts, name) for name in sorted(parts.duties.states.keys() | parts.duties.heard.keys())}


def _service(parts: Parts, name: str) -> dict[str, Any]:
    duties = parts.duties
    state = duties.states.get(name, ServiceState())
    return {
        "epoch": state.turn.epoch,
        "seq": state.turn.seq,
        "role": state.role.value,
        "answering": parts.probe.is_open and answers(state, parts.fatal()),
        "advertised": encode_advertised(state.advertised),
        **_unsent(parts, name),
        "heard": duties.heard.get(name, 0),
        **_warrants(state, duties.shown.get(name, "")),
        "durable": duties.is_durable(name),
        **({"unconfirmed": True} if state.unconfirmed else {}),
        **_outward(state, duties.outward(name)),
    }


def _unsent(parts: Parts, service: str) -> dict[str, Any]:
    """Why `advertised` is not what is sent, where that is so."""
    why = "" if parts.duties.is_sure(service) else parts.speaker.unsent()
    return {"unsent": why} if why else {}


def _warrants(state: ServiceState, shown: str) -> dict[str, Any]:
    """The app's own tokens that prove `epoch` and `heard`, where there are any."""
    tokens = {"warrant": state.warrant, "heard_warrant": shown}
    return {name: token for name, token in tokens.items() if token}


def _outward(state: ServiceState, announced: tuple[Advertisement, ...]) -> dict[str, Any]:
    if state.outward is None:
        return {}
    return {"outward": {**encode_outward(state.outward), "announced": encode_advertisements(announced)}}


def _sessions(parts: Parts, toward: Toward) -> dict[str, Any]:
    return {
        str(address): _session(session)
        for address, session in sorted(parts.speaker.sessions().items())
        if session.toward is toward
    }


def _session(session: Session) -> dict[str, Any]:
    known: dict[str, Any] = {"state": session.state.value, "since": session.since and session.since.isoformat()}
    if session.state is SessionState.ESTABLISHED and session.hold_seconds:
        known["hold_time"] = session.hold_seconds
    # "sent" is left out where it is unknown: not every daemon reports it.
    return known if session.sent is None else {**known, "sent": encode_advertisements(session.sent[:SENT_MAX])}


def _peers(parts: Parts, now: float) -> dict[str, Any]:
    return {
        name: {
            "gossip": watch.gossip(now).value,
            "probe": watch.probe().value,
            "age_seconds": round(watch.age_seconds(now), 3),
        }
        for name, watch in parts.peers.items()
    }


def _watched(parts: Parts, now: float) -> dict[str, Any]:
    """Members without an agent are shown like peers: one check stands for both readings."""
    return {
        name: {
            "gossip": tally.value.value,
            "probe": tally.value.value,
            "age_seconds": round(max(0.0, now - tally.passed), 3),
        }
        for name, tally in parts.watched.items()
    }
