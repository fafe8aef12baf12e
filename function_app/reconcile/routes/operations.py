"""Queries to ARM that are long-running operations and cost a write token each: started in one pass, polled in later ones.

What is under way, what was answered and what was spent is stored in `routes/{topology}.json`. At most `verifyBudget`
queries are started within `verifyEvery`, whatever is in doubt, so that the tokens are there when a fence needs them.
Which queries there are, and what the answers mean, is in `verify`.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from function_app.domain.base.errors import HopkeeperError, Superseded, Transient, Unusable
from function_app.domain.base.timing import Timing
from function_app.domain.routes.reading import Unread
from function_app.reconcile.ports import Clock, Documents
from function_app.reconcile.routes.rows import Row
from function_app.reconcile.store import kept, keys


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """One query under way: the token to poll with, and when it was started."""

    token: str
    at: datetime


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer to one query, dated when the query was started."""

    at: datetime
    rows: tuple[Row, ...]
    unread: int = 0
    """How many rows, or values of rows, could not be read; the others count."""
    first_unread: str = ""


class Deferred(msgspec.Struct, frozen=True, kw_only=True):
    """A query that ARM refused, or answered with nothing of use: why, and until when it is not started again."""

    until: datetime
    why: str


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is stored, by the key of the query; `spent` lists when write tokens were spent of late."""

    started: dict[str, Started] = msgspec.field(name="asked", default_factory=dict)
    answers: dict[str, StoredAnswer] = {}
    deferred: dict[str, Deferred] = msgspec.field(name="later", default_factory=dict)
    doubted: tuple[str, ...] = ()
    """Queries whose last answer left a service unverified: started again soon."""
    spent: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """`key` names it (`learned rs-hub/nva-a`); `server` is the Route Server that answers one query at a time."""

    key: str
    server: str
    start: Callable[[], Awaitable[str]]
    fetch: Callable[[str], Awaitable[tuple[Row | Unread, ...] | None]]


@dataclass(slots=True)
class Round:
    """What one pass does about the queries: poll those under way, then start those that are due and within the budget."""

    clock: Clock
    timing: Timing
    not_before: datetime | None = None
    """Older answers are due again: an operator wants to know now."""
    started: dict[str, Started] = field(default_factory=dict)
    answers: dict[str, StoredAnswer] = field(default_factory=dict)
    deferred: dict[str, Deferred] = field(default_factory=dict)
    doubted: frozenset[str] = frozenset()
    spent: list[datetime] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    """Why polling or storing failed; why queries could not be started is in `deferred`."""

    def resume(self, stored: Operations, queries: Iterable[Query]) -> None:
        """Goes on from what earlier passes stored; what is no longer queried is dropped.

        A time in the future comes from a skewed clock: that of a query counts as now, a deferral beyond `verifyEvery` and
        a token spent in the future are dropped.
        """
        keys, now, most = {query.key for query in queries}, self.clock.now(), self.timing.verify_every
        self.started = {k: replace(each, at=min(each.at, now)) for k, each in stored.started.items() if k in keys}
        self.answers = {k: replace(each, at=min(each.at, now)) for k, each in stored.answers.items() if k in keys}
        self.doubted = frozenset(stored.doubted) & keys
        lasting = {k: each for k, each in stored.deferred.items() if timedelta(0) < each.until - now <= most}
        self.deferred = {k: each for k, each in lasting.items() if k in keys}
        self.spent = [at for at in stored.spent if timedelta(0) <= now - at < most]

    @property
    def operations(self) -> Operations:
        """What the next pass resumes from."""
        return Operations(
            started=self.started,
            answers=self.answers,
            deferred=self.deferred,
            doubted=tuple(sorted(self.doubted)),
            spent=tuple(self.spent),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why answers are missing, and what of the answers could not be read."""
        deferred = (f"{key}: {each.why}" for key, each in sorted(self.deferred.items()))
        unread = (
            f"{key}: {answer.unread} of its rows and values could not be read, the first: {answer.first_unread}"
            for key, answer in sorted(self.answers.items())
            if answer.unread
        )
        return (*self.trouble, *deferred, *unread)

    @property
    def within_budget(self) -> bool:
        """Whether another write token may be spent."""
        return len(self.spent) < self.timing.verify_budget

    def is_due(self, query: Query) -> bool:
        """Whether it is to be started again: no answer, or one that is too old, and neither under way nor deferred."""
        if query.key in self.started or query.key in self.deferred:
            return False
        answer = self.answers.get(query.key)
        if answer is None or (self.not_before is not None and answer.at < self.not_before):
            return True
        patience = self.timing.doubt_poll if query.key in self.doubted else self.timing.verify_every
        return self.clock.now() - answer.at > patience

    def longest_waiting(self, queries: Iterable[Query]) -> Query | None:
        """Of those that are due the one without an answer, or with the oldest; then the first by name."""

        def rank(query: Query) -> tuple[bool, datetime | None, str]:
            answer = self.answers.get(query.key)
            return answer is not None, answer.at if answer else None, query.key

        return min(filter(self.is_due, queries), key=rank, default=None)

    async def poll(self, query: Query) -> None:
        """Polls a query once.

        | ARM                                        | what becomes of the query                                       |
        |--------------------------------------------|-----------------------------------------------------------------|
        | has an answer                              | answered                                                        |
        | has an answer of no use                    | deferred for as long as a good answer would be good for         |
        | does not know the token                    | dropped, and due again                                          |
        | is not ready, or does not answer           | polled again by the next pass; dropped after `verifyEvery`      |
        """
        started = self.started.get(query.key)
        if started is None:
            return
        try:
            rows = await query.fetch(started.token)
        except Unusable as error:
            del self.started[query.key]
            self._defer(query, self.timing.verify_every, error)
            return
        except HopkeeperError as error:
            rows, lost = None, not isinstance(error, Transient)
            self.trouble.append(f"{query.key}: {error}")
        else:
            lost = False
        if rows is not None:
            del self.started[query.key]
            self.answers[query.key] = _answered(started.at, rows)
        elif lost or self.clock.now() - started.at > self.timing.verify_every:
            del self.started[query.key]

    async def start(self, query: Query) -> bool:
        """Starts it if it is due and within the budget; gives whether it did. One that ARM refuses costs its token too."""
        if not self.within_budget or not self.is_due(query):
            return False
        self.spent.append(self.clock.now())
        try:
            token = await query.start()
        except HopkeeperError as error:
            wait = error.retry_after if isinstance(error, Transient) else self.timing.verify_every
            self._defer(query, wait, error)
        else:
            self.started[query.key] = Started(token=token, at=self.clock.now())
        return True

    def _defer(self, query: Query, wait: timedelta, error: HopkeeperError) -> None:
        wait = min(max(wait, self.timing.doubt_poll), self.timing.verify_every)
        self.deferred[query.key] = Deferred(until=self.clock.now() + wait, why=str(error))


def _answered(at: datetime, rows: tuple[Row | Unread, ...]) -> StoredAnswer:
    read = tuple(row for row in rows if not isinstance(row, Unread))
    unread = [row.said for row in rows if isinstance(row, Unread)]
    return StoredAnswer(at=at, rows=read, unread=len(unread), first_unread=next(iter(unread), ""))


class OperationsOf:
    """The stored operations of one topology in one pass: loaded once, saved where they changed."""

    def __init__(self, documents: Documents, topology: str) -> None:
        self._documents = documents
        self._key = keys.route_operations(topology)
        self._etag: str | None = None
        self._before = Operations()

    async def load(self) -> Operations:
        """What is stored; where it cannot be read, nothing: everything is queried again. Raises Unavailable."""
        before, self._etag = await kept.load(self._documents, self._key, Operations)
        self._before = before or Operations()
        return self._before

    async def save(self, operations: Operations) -> bool:
        """False where another pass was faster: what it started counts, and what this one started is lost."""
        if operations == self._before:
            return True
        try:
            await self._documents.save(self._key, msgspec.json.encode(operations), self._etag)
        except Superseded:
            return False
        return True
