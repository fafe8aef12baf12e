"""Sends one wake-up for later: passes that end at the same time request the same one, not one each."""

from datetime import datetime, timedelta

import msgspec

from function_app.domain.base.errors import Superseded
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys

SLACK = timedelta(seconds=1)
"""A wake-up that is due this much later than wanted still serves."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """When the next wake-up that was sent becomes visible."""

    at: datetime


async def come_back(ports: Ports, topology: str, after: timedelta) -> None:
    """Sends a wake-up, unless one is on its way that comes early enough. One that got lost is only believed until due."""
    key, now = keys.turn_due(topology), ports.clock.now()
    due, etag = await kept.load(ports.documents, key, Due)
    if due is not None and now < due.at <= now + after + SLACK:
        return
    try:
        await ports.documents.save(key, msgspec.json.encode(Due(at=now + after)), etag)
    except Superseded:
        return
    await ports.wake_ups.send(topology, after)
