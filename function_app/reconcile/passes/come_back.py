"""Sends one wake-up for later: passes that end, and events that come, at the same time request the same one, not one each."""

from datetime import datetime, timedelta

import msgspec

from function_app.domain.base.errors import Superseded
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys

SLACK = timedelta(seconds=1)
"""A wake-up that is due this much later than wanted still serves."""


APART = timedelta(seconds=5)
"""Between wake-ups by events alone: an event is a hint, and comes in swarms."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """When the next wake-up that was sent becomes visible."""

    at: datetime


async def come_back(ports: Ports, topology: str, after: timedelta) -> None:
    """Sends a wake-up, unless one is on its way that comes early enough. One that got lost is only believed until due."""
    now = ports.clock.now()
    due, etag = await kept.load(ports.documents, keys.turn_due(topology), Due)
    if due is None or not now < due.at <= now + after + SLACK:
        await _sent(ports, topology, now, after, etag)


async def come_soon(ports: Ports, topology: str) -> None:
    """Sends a wake-up for an event: at once, but `APART` from the last one, and none where one is on its way by then.

    So the first event of a swarm is looked at without delay, and after the last one there is one more look.
    """
    now = ports.clock.now()
    due, etag = await kept.load(ports.documents, keys.turn_due(topology), Due)
    if due is not None and now < due.at <= now + APART:
        return
    earliest = now if due is None or due.at > now else due.at + APART
    after = max(earliest - now, timedelta(0))
    if not await _sent(ports, topology, now, after, etag):  # what the other one is for may be older than the event
        await ports.wake_ups.send(topology, after)


async def _sent(ports: Ports, topology: str, now: datetime, after: timedelta, etag: str | None) -> bool:
    """False where another one was faster, and sends one."""
    try:
        await ports.documents.save(keys.turn_due(topology), msgspec.json.encode(Due(at=now + after)), etag)
    except Superseded:
        return False
    await ports.wake_ups.send(topology, after)
    return True
