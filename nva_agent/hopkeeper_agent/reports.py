"""Reports to the app: sent the moment something changes, and repeated until the app acknowledges.

A report makes the app look at once, no more. It carries the whole status, so a newer report replaces an older one.
`changes` is pure; `Reporter` is the I/O.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.maintenance import Maintenance
from hopkeeper_agent.messages import REPORT

log = logging.getLogger(__name__)

BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_MAX_SECONDS = 5.0
IN_FLIGHT_MAX = 2
"""The app answers when its pass is over. A newer change does not wait for that, but starts a second request."""
RETRIED_4XX = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
)
"""Not the app's word about the report: an app that is being deployed, or has no functions, answers 403 and 404 in its place."""


@dataclass(frozen=True, slots=True)
class Reportable:
    """The part of a status in which a change is reported.

    `fatal`: why the appliance is unfit, each as "check: detail". `sessions`: (neighbour, state). `bad_checks`: the names
    of checks that are bad and not fatal.
    """

    fatal: tuple[str, ...] = ()
    failed_peers: frozenset[str] = frozenset()
    sessions: tuple[tuple[str, str], ...] = ()
    maintenance: Maintenance | None = None
    bad_checks: frozenset[str] = frozenset()


def changes(before: Reportable, after: Reportable) -> list[str]:
    """The reasons to report, worst first; empty when nothing changed.

    reason              | when
    fatal               | a check makes the appliance unfit that did not (its detail may change without a report)
    peer failed         | a peer has failed
    session …           | it came up or went down; not the first "down", as a start finds sessions down before they come up
    check failed        | a check is bad that may not make the appliance unfit
    draining            | Azure announces another maintenance
    cleared, peer returned, check passed, maintenance over: the same, ended
    """
    were, are = _by_check(before.fatal), _by_check(after.fatal)
    return [
        *_each("fatal", map(are.__getitem__, sorted(are.keys() - were.keys()))),
        *_each("peer failed", sorted(after.failed_peers - before.failed_peers)),
        *_sessions(dict(before.sessions), after.sessions),
        *_each("check failed", sorted(after.bad_checks - before.bad_checks)),
        *_draining(before.maintenance, after.maintenance),
        *_each("cleared", map(were.__getitem__, sorted(were.keys() - are.keys()))),
        *_each("peer returned", sorted(before.failed_peers - after.failed_peers)),
        # A check that has become fatal has not passed.
        *_each("check passed", sorted(before.bad_checks - after.bad_checks - are.keys())),
        *_over(before.maintenance, after.maintenance),
    ]


def _each(what: str, names: Iterable[str]) -> list[str]:
    return [f"{what}: {name}" for name in names]


def _by_check(fatal: Iterable[str]) -> dict[str, str]:
    return {reason.split(":")[0]: reason for reason in fatal}


def _sessions(before: Mapping[str, str], after: Iterable[tuple[str, str]]) -> list[str]:
    reasons = []
    for address, state in after:
        old = before.get(address, "unknown")
        if state != old and (old, state) != ("unknown", "down"):
            reasons.append(f"session {state}: {address}")
    return reasons


def _draining(before: Maintenance | None, after: Maintenance | None) -> list[str]:
    return [f"draining: {after}"] if after is not None and after != before else []


def _over(before: Maintenance | None, after: Maintenance | None) -> list[str]:
    return [f"maintenance over: {before.kind} ({before.event})"] if before is not None and after is None else []


def report(issuer: Issuer, reason: str, status: Mapping[str, Any]) -> str:
    """A signed report (compact JWS)."""
    return issuer.to_app(REPORT, {"reason": reason, "status": status})


class Post(Protocol):
    """Delivers one report."""

    async def __call__(self, token: str) -> int | None:
        """Return the HTTP status, None without an answer of the app's."""


class Reporter:
    """Keeps the newest unacknowledged report and repeats it."""

    def __init__(self, post: Post, issuer: Issuer, status: Callable[[], Mapping[str, Any]]) -> None:
        """`status` gives the status object of each attempt."""
        self._post = post
        self._issuer = issuer
        self._status = status
        self._newest = 0
        self._done = 0
        self._tasks: dict[asyncio.Task[None], int] = {}

    def report(self, reason: str) -> None:
        """Report now. Of several unacknowledged reports only the newest is repeated."""
        log.info("report", extra={"why": reason})
        self._newest += 1
        self._start(self._newest, reason)

    @property
    def acknowledged(self) -> bool:
        """Whether the newest report needs no repetition: the app acknowledged it, or refused it for good."""
        return self._done == self._newest

    async def close(self) -> None:
        """Stop reporting."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, number: int, reason: str) -> None:
        if len(self._tasks) >= IN_FLIGHT_MAX:
            # The youngest is older than this one and is cancelled; the oldest may be about to be answered by a pass.
            youngest = max(self._tasks, key=lambda task: self._tasks[task])
            youngest.cancel()
            del self._tasks[youngest]
        task = asyncio.get_running_loop().create_task(self._repeat(number, reason))
        self._tasks[task] = number
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _repeat(self, number: int, reason: str) -> None:
        backoff = BACKOFF_FIRST_SECONDS
        while number == self._newest:
            status = await self._post(report(self._issuer, reason, self._status()))
            if status is not None and 200 <= status < 300:
                self._done = max(self._done, number)
                return
            if status is not None and 400 <= status < 500 and status not in RETRIED_4XX:
                log.error("report refused", extra={"status": status, "report": reason, "why": _why(status)})
                self._done = max(self._done, number)
                return
            log.warning("report not acknowledged", extra={"status": status, "report": reason, "why": _why(status)})
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)


def _why(status: int | None) -> str:
    """Why a report was not taken."""
    return "no answer of the app's: see hopkeeper-agent check --live" if status is None else f"HTTP status {status}"
