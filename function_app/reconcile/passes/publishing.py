"""What others may want to know, published after a slow pass: never on the way of a failover, at least once, with its reason.

What happened to a service is read from its history, which fast passes write as well; what stands (held, without redundancy,
...) is compared with what stood at the last slow pass. Events are written down before the first is sent, so that one that is sent
again has the id that it had. Where no topic is configured nothing is read or written.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec.structs import replace

from function_app.domain.base.errors import HopkeeperError, Superseded
from function_app.reconcile.documents.event import Event, EventKind
from function_app.reconcile.documents.history import Entry
from function_app.reconcile.history import newest
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys

log = logging.getLogger("hopkeeper.pass")

SEEN_MOST = 64
"""So many of the last entries of a service are known: passes overlap, and one that began earlier may be stored later."""
PENDING_MOST = 256
"""So many events wait for a topic that takes none; beyond it the oldest are lost, which is logged."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What stands until it is over. `kind` is the event of its beginning, `over` that of its end; None: there is none."""

    kind: EventKind | None
    subject: str
    reasons: tuple[str, ...] = ()
    over: EventKind | None = None


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """`seen`: by service the last entries of its history whose events are made; `refused`: by service why the last one was."""

    seen: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    standing: dict[str, Condition] = {}
    pending: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a slow pass found: what stands now by key, the keys that it could not judge, and what else happened."""

    at: datetime
    topology: str
    services: tuple[str, ...]
    standing: Mapping[str, Condition]
    unknown: frozenset[str] = frozenset()
    more: tuple[Event, ...] = ()


async def publish(ports: Ports, news: News) -> None:
    """Writes down what is new, and sends it and what was not sent before. The next pass tries again what failed."""
    if not ports.events_out.publishes:
        return
    try:
        await _publish(ports, news)
    except Superseded:
        log.info("another pass publishes the events of %s", news.topology)
    except HopkeeperError as error:
        why = {"topology": news.topology, "error": str(error)}
        log.warning("events are published later: %s", why, extra=why)


async def _publish(ports: Ports, news: News) -> None:
    key = keys.events(news.topology)
    before, etag = await kept.load(ports.documents, key, Outbox)
    after = await _with_news(ports, before, news)
    if after != before:
        etag = await ports.documents.save(key, msgspec.json.encode(after), etag)
    if not after.pending:
        return
    left = list(after.pending)
    try:
        while left:
            await ports.events_out.publish(left[0])
            del left[0]
    finally:
        if len(left) < len(after.pending):
            await ports.documents.save(key, msgspec.json.encode(replace(after, pending=tuple(left))), etag)


async def _with_news(ports: Ports, before: Outbox | None, news: News) -> Outbox:
    """The outbox with every event that is new. At the first pass what is on record already is no news."""
    known = before or Outbox()
    made: list[Event] = []
    seen, refused = {}, {}
    for service in news.services:
        found = await newest(ports.documents, news.topology, service, SEEN_MOST)
        last = known.refused.get(service, "")
        if before is not None:
            for key in (key for key in found if key not in known.seen.get(service, ())):
                entry, _ = await kept.load(ports.documents, key, Entry)
                made += _of(entry, key, news.topology, last) if entry is not None else ()
                last = _why_refused(entry) if entry is not None else last
        seen[service], refused[service] = tuple(found), last
    made += (*_changed(known, news), *news.more)
    pending = (*known.pending, *sorted(made, key=lambda event: event.at))
    if len(pending) > PENDING_MOST:
        log.error("%d events of %s are lost: the topic takes none", len(pending) - PENDING_MOST, news.topology)
    stays = {key: each for key, each in known.standing.items() if key in news.unknown}
    return Outbox(seen=seen, refused=refused, standing={**stays, **news.standing}, pending=pending[-PENDING_MOST:])


def _of(entry: Entry, key: str, topology: str, refused_before: str) -> Iterator[Event]:
    """The events of one pass over one service."""
    changes = (change for step in entry.steps for change in step.changes or ())
    for n, change in enumerate(changes):
        yield Event(
            id=f"{key}#{n}",
            kind=change.kind,
            at=change.at,
            topology=topology,
            subject=entry.service,
            reasons=change.reasons,
            change=change,
        )
    why = _why_refused(entry)
    if why and why != refused_before:
        yield Event(
            id=f"{key}#refused",
            kind="Refused",
            at=entry.ended,
            topology=topology,
            subject=entry.service,
            reasons=entry.reasons,
        )


def _why_refused(entry: Entry) -> str:
    """The reasons without their figures, which change while nothing else does; empty where nothing was refused."""
    return re.sub(r"\d+", "", "; ".join(entry.reasons)) if entry.outcome == "refused" else ""


def _changed(known: Outbox, news: News) -> Iterator[Event]:
    """What stands now and did not, and what is over."""
    for key, each in news.standing.items():
        if key not in known.standing and each.kind is not None:
            yield _event(news, key, each.kind, each)
    for key, each in known.standing.items():
        if key not in news.standing and key not in news.unknown and each.over is not None:
            yield _event(news, key, each.over, each)


def _event(news: News, key: str, kind: EventKind, each: Condition) -> Event:
    return Event(
        id=f"{news.topology}/{key}/{kind}/{keys.stamp(news.at)}",
        kind=kind,
        at=news.at,
        topology=news.topology,
        subject=each.subject,
        reasons=each.reasons,
    )
