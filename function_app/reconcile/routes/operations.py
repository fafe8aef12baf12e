"""Questions to ARM that take longer than a pass and cost a write token each: asked in one pass, heard in a later one.

What is under way, what was answered and what was spent is kept in `routes/{topology}.json`. At most `verifyBudget`
questions are asked within `verifyEvery`, whatever is in doubt, so that the tokens are there when a fence needs them.
Which questions there are, and what the answers mean, is `verify`'s business.
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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One question under way."""

    token: str
    at: datetime


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer to one question; it is as old as the question."""

    at: datetime
    rows: tuple[Row, ...]
    unread: int = 0
    """How many rows, or values of rows, could not be read; the others count."""
    first_unread: str = ""


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """A question that ARM would not take, or answered of no use: why, and until when it is not asked again."""

    until: datetime
    why: str


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is kept, by the key of the question; `spent` says when the tokens of late were spent."""

    asked: dict[str, Asked] = {}
    answers: dict[str, Answer] = {}
    later: dict[str, Later] = {}
    doubted: tuple[str, ...] = ()
    """Questions whose last answer left a service unverified: asked again soon."""
    spent: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """`key` names it (`learned rs-hub/nva-a`), `server` whose turn it takes."""

    key: str
    server: str
    ask: Callable[[], Awaitable[str]]
    fetch: Callable[[str], Awaitable[tuple[Row | Unread, ...] | None]]


@dataclass(slots=True)
class Round:
    """One pass's part in the questions: hear what was asked, then put what is due and affordable."""

    clock: Clock
    timing: Timing
    not_before: datetime | None = None
    """Answers older than this are not good enough: somebody wants to know now."""
    asked: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    later: dict[str, Later] = field(default_factory=dict)
    doubted: frozenset[str] = frozenset()
    spent: list[datetime] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    """Why answers could not be heard or kept; why questions could not be asked stands in `later`."""

    def take_up(self, ledger: Ledger, questions: Iterable[Question]) -> None:
        """Goes on with what earlier passes left; what nobody asks any more is forgotten."""
        asked, now = {q.key for q in questions}, self.clock.now()
        # A date that is still to come was written by a clock that was wrong, or is a little ahead.
        self.asked = {k: replace(each, at=min(each.at, now)) for k, each in ledger.asked.items() if k in asked}
        self.answers = {k: replace(each, at=min(each.at, now)) for k, each in ledger.answers.items() if k in asked}
        self.doubted = frozenset(ledger.doubted) & asked
        most = self.timing.verify_every
        self.later = {
            key: later
            for key, later in ledger.later.items()
            if key in asked and timedelta(0) < later.until - now <= most
        }
        self.spent = [at for at in ledger.spent if timedelta(0) <= now - at < most]

    @property
    def ledger(self) -> Ledger:
        return Ledger(
            asked=self.asked,
            answers=self.answers,
            later=self.later,
            doubted=tuple(sorted(self.doubted)),
            spent=tuple(self.spent),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything that stands in the way of an answer, and what of answers could not be read."""
        later = (f"{key}: {later.why}" for key, later in sorted(self.later.items()))
        unread = (
            f"{key}: {answer.unread} of its rows and values could not be read, the first: {answer.first_unread}"
            for key, answer in sorted(self.answers.items())
            if answer.unread
        )
        return (*self.trouble, *later, *unread)

    @property
    def affordable(self) -> bool:
        return len(self.spent) < self.timing.verify_budget

    def is_due(self, question: Question) -> bool:
        if question.key in self.asked or question.key in self.later:
            return False
        answer = self.answers.get(question.key)
        if answer is None or (self.not_before is not None and answer.at < self.not_before):
            return True
        patience = self.timing.doubt_poll if question.key in self.doubted else self.timing.verify_every
        return self.clock.now() - answer.at > patience

    def longest_waiting(self, questions: Iterable[Question]) -> Question | None:
        """Of those that are due the one without an answer, or with the oldest; then the first by name."""
        due = [(self.answers[q.key].at if q.key in self.answers else None, q) for q in questions if self.is_due(q)]
        return min(due, key=lambda each: (each[0] is not None, each[0], each[1].key), default=(None, None))[1]

    async def hear(self, question: Question) -> None:
        """One look at what is under way. What is lost, or takes longer than an answer is good for, is dropped and asked
        again; an answer that is of no use is asked for again only after as long as a good one is good for."""
        asked = self.asked.get(question.key)
        if asked is None:
            return
        try:
            rows = await question.fetch(asked.token)
        except Unusable as error:
            del self.asked[question.key]
            self._put_off(question, self.timing.verify_every, error)
            return
        except HopkeeperError as error:
            rows, lost = None, not isinstance(error, Transient)
            self.trouble.append(f"{question.key}: {error}")
        else:
            lost = False
        if rows is not None:
            del self.asked[question.key]
            self.answers[question.key] = _answered(asked.at, rows)
        elif lost or self.clock.now() - asked.at > self.timing.verify_every:
            del self.asked[question.key]

    async def put(self, question: Question) -> bool:
        """Asks if it is due and affordable; whether it did. A question that ARM refuses was paid for all the same."""
        if not self.affordable or not self.is_due(question):
            return False
        self.spent.append(self.clock.now())
        try:
            token = await question.ask()
        except HopkeeperError as error:
            wait = error.retry_after if isinstance(error, Transient) else self.timing.verify_every
            self._put_off(question, wait, error)
        else:
            self.asked[question.key] = Asked(token=token, at=self.clock.now())
        return True

    def _put_off(self, question: Question, wait: timedelta, error: HopkeeperError) -> None:
        wait = min(max(wait, self.timing.doubt_poll), self.timing.verify_every)
        self.later[question.key] = Later(until=self.clock.now() + wait, why=str(error))


def _answered(at: datetime, rows: tuple[Row | Unread, ...]) -> Answer:
    read = tuple(row for row in rows if not isinstance(row, Unread))
    unread = [row.said for row in rows if isinstance(row, Unread)]
    return Answer(at=at, rows=read, unread=len(unread), first_unread=next(iter(unread), ""))


class Ledgers:
    """Where the ledger of one topology is kept."""

    def __init__(self, documents: Documents, topology: str) -> None:
        self._documents = documents
        self._key = keys.route_operations(topology)
        self._etag: str | None = None
        self._before = Ledger()

    async def load(self) -> Ledger:
        """What is kept; unreadable, everything is only asked again."""
        before, self._etag = await kept.load(self._documents, self._key, Ledger)
        self._before = before or Ledger()
        return self._before

    async def save(self, ledger: Ledger) -> bool:
        """Keeps it if it changed; False where another pass was faster: what it asked counts, ours is lost."""
        if ledger == self._before:
            return True
        try:
            await self._documents.save(self._key, msgspec.json.encode(ledger), self._etag)
        except Superseded:
            return False
        return True
