"""Reports to the app, sent the moment something turns and repeated until the app acknowledges.

A report only tells the app to look; it carries the whole status, so a newer one replaces an older one.
`turns` is pure; `Reporter` is the I/O.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.maintenance import Maintenance
from hopkeeper_agent.messages import REPORT

log = logging.getLogger(__name__)

BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_MAX_SECONDS = 5.0
# The app answers when its pass is over. A newer change does not wait for that: it may start one request beside it.
IN_FLIGHT_MAX = 2
RETRIED_4XX = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Bearing:
    """What is worth a report when it turns: reasons to be unfit, failed peers, state by neighbour address, maintenance.

    `bad_checks` are the names of checks that are bad and not fatal.
    """

    fatal: tuple[str, ...] = ()
    failed_peers: frozenset[str] = frozenset()
    sessions: tuple[tuple[str, str], ...] = ()
    maintenance: Maintenance | None = None
    bad_checks: frozenset[str] = frozenset()


def turns(before: Bearing, after: Bearing) -> list[str]:
    """The reasons to report, worst first; empty when nothing turned."""
    # A check's detail may change while it stays bad: its name is what turns.
    were, are = ({reason.split(":")[0]: reason for reason in bearing.fatal} for bearing in (before, after))
    reasons = [f"fatal: {are[name]}" for name in sorted(are.keys() - were.keys())]
    reasons += [f"peer failed: {name}" for name in sorted(after.failed_peers - before.failed_peers)]
    old_sessions = dict(before.sessions)
    for address, state in after.sessions:
        old = old_sessions.get(address, "unknown")
        # A start finds sessions down before they come up: only one that was up goes down.
        if state != old and (old, state) != ("unknown", "down"):
            reasons.append(f"session {state}: {address}")
    reasons += [f"check failed: {name}" for name in sorted(after.bad_checks - before.bad_checks)]
    if after.maintenance is not None and after.maintenance != before.maintenance:
        reasons.append(f"draining: {after.maintenance}")
    reasons += [f"cleared: {were[name]}" for name in sorted(were.keys() - are.keys())]
    reasons += [f"peer returned: {name}" for name in sorted(before.failed_peers - after.failed_peers)]
    # One that turned from alarming to fatal has not passed.
    reasons += [f"check passed: {name}" for name in sorted(before.bad_checks - after.bad_checks - are.keys())]
    if before.maintenance is not None and after.maintenance is None:
        reasons.append(f"maintenance over: {before.maintenance.kind} ({before.maintenance.event})")
    return reasons


def report(issuer: Issuer, reason: str, status: Mapping[str, Any]) -> str:
    """A signed report (compact JWS)."""
    return issuer.to_app(REPORT, {"reason": reason, "status": status})


class Post(Protocol):
    """Delivers one report."""

    async def __call__(self, token: str) -> int | None:
        """Return the HTTP status, or None when there was no answer."""


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
        """Report now. Nothing is lost by calling it often: only the newest is repeated."""
        log.info("report", extra={"reason": reason})
        self._newest += 1
        self._start(self._newest, reason)

    @property
    def acknowledged(self) -> bool:
        """Whether the newest report is done with."""
        return self._done == self._newest

    async def close(self) -> None:
        """Stop reporting."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, number: int, reason: str) -> None:
        if len(self._tasks) >= IN_FLIGHT_MAX:
            # The youngest is older than this one and gives way; the oldest may be a pass that is about to answer.
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
                log.error("report refused", extra={"status": status, "reason": reason})
                self._done = max(self._done, number)
                return
            log.warning("report not acknowledged", extra={"status": status, "reason": reason})
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)
