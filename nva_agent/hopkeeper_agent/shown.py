"""`hopkeeper-agent status` in lines for a person: what the agent shows at its local door, and what of it is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """The lines, and whether nothing in them is wrong."""

    lines: tuple[str, ...]
    is_well: bool


def view(found: Shown) -> View:
    """`found` is what `door.knock` returns."""
    status = found["status"]
    wrong = tuple(_wrong(status))
    head = f"{status['agent']} of {status['topology']}, version {status['version']}, runs since {_moment(found['started'])}"
    lines = [head, *_services(found), *_checks(status), *_sessions(status), *_peers(status)]
    if coming := status.get("maintenance"):
        lines.append(f"Azure announces a {coming['kind']}, not before {coming['not_before'] or 'now: it has begun'}")
    lines += [f"WRONG {each}" for each in wrong] or ["well"]
    return View(tuple(lines), not wrong)


def stored(states: Mapping[str, tuple[int, str]]) -> tuple[str, ...]:
    """By service its epoch and role, as an agent that does not run left them on disk."""
    return tuple(
        f"  service {name}: {role} at epoch {epoch} when it ended" for name, (epoch, role) in sorted(states.items())
    )


def _services(found: Shown) -> Iterator[str]:
    services = found["status"]["services"]
    if not services:
        yield "no service was commanded yet"
    for name, service in services.items():
        role = found["roles"].get(name, {})
        answers = "the probe answers 200" if service["answering"] else "the probe answers 503"
        yield f"service {name}: {service['role']} at epoch {service['epoch']}, {answers}"
        if role:
            yield f"  since {_moment(role['since'])}, because: {role['why']}"
        if service["advertised"] is not None:
            yield f"  ordered to announce: {_routes(service['advertised']['advertisements'])}"
        if (outward := service.get("outward")) is not None:
            yield f"  outward: {_routes(outward['announced'])}"


def _moment(at: str) -> str:
    """To the second, in UTC, as every other program of Hopkeeper writes it."""
    return f"{at[:19].replace('T', ' ')}Z"


def _routes(routes: list[Mapping[str, Any]]) -> str:
    each = (f"{r['prefix']} next hop {r['next_hop']} prepend {r['prepend']}" for r in routes)
    return ", ".join(each) or "nothing"


def _checks(status: Shown) -> Iterator[str]:
    for name, check in status["checks"].items():
        why = f": {check['detail']}" if check["detail"] else ""
        yield f"check {name}: {check['value']}{why}"


def _sessions(status: Shown) -> Iterator[str]:
    for address, session in {**status["sessions"], **status.get("outward_sessions", {})}.items():
        since = f" since {_moment(session['since'])}" if session["since"] else ""
        sent = f", really sent: {_routes(session['sent'])}" if "sent" in session else ""
        yield f"session {address}: {session['state']}{since}{sent}"


def _peers(status: Shown) -> Iterator[str]:
    for name, peer in status["peers"].items():
        age = "no sign yet" if peer["age_seconds"] is None else f"last sign {peer['age_seconds']:.1f} s ago"
        yield f"peer {name}: gossip {peer['gossip']}, probe {peer['probe']}, {age}"


def _wrong(status: Shown) -> Iterator[str]:
    yield from (f"unfit: {why}" for why in status["fatal"])
    yield from (f"answers although a check fails, as no member passes it: {why}" for why in status.get("excused", ()))
    for name, service in status["services"].items():
        yield from (f"service {name} {why}" for why in _wrong_in(service))
    yield from _wrong_around(status)


def _wrong_around(status: Shown) -> Iterator[str]:
    fatal = {why.partition(":")[0] for why in status["fatal"]}
    for name, check in status["checks"].items():
        if check["value"] == "bad" and name not in fatal:
            yield f"check {name}: {check['detail']}"
    for address, session in {**status["sessions"], **status.get("outward_sessions", {})}.items():
        if session["state"] != "established":
            yield f"session {address} is {session['state']}"
    for name, peer in status["peers"].items():
        if peer["gossip"] == peer["probe"] == "bad":
            yield f"peer {name} is silent"


def _wrong_in(service: Shown) -> Iterator[str]:
    if service["role"] == "serving" and not service["answering"]:
        waits = "unconfirmed since the machine booted" if service.get("unconfirmed") else "see the checks"
        yield f"should serve and answers 503: {waits}"
    if not service["durable"]:
        yield "has a role that is not on disk"
    if (heard := service.get("heard", 0)) > service["epoch"]:
        yield f"stands at epoch {service['epoch']}, while peers were commanded epoch {heard}"
