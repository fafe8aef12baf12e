"""Leases: for a while one instance is at some work, and the others leave it to that one.

A lease saves work. It is no lock and no proof: who overstays it, or never saw it, is harmless (safety.md, finding 2). Slow
passes take turns by one, and a fence or a lift is left to whoever is at it (ADR 7).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from function_app.domain.base.errors import HopkeeperError, Superseded, Transient
from function_app.reconcile.ports import Clock, Documents, Ports
from function_app.reconcile.store import kept

log = logging.getLogger("hopkeeper.pass")


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    until: datetime
    work: str = ""


async def acquire(documents: Documents, key: str, now: datetime, lasts: timedelta, work: str = "") -> str | None:
    """The lease's etag, or None where another one is at the same work. Other work takes over: it is newer.

    A lease beyond `lasts` from now is of a clock that was wrong. Raises Unavailable.
    """
    held, etag = await kept.load(documents, key, Lease)
    if held is not None and held.work == work and now < held.until <= now + lasts:
        return None
    try:
        return await documents.save(key, _lease(now + lasts, work), etag)
    except Superseded:
        return None


async def release(documents: Documents, clock: Clock, key: str, etag: str, work: str = "") -> None:
    """Over at once, unless it is another one's by now. Raises Unavailable."""
    with suppress(Superseded):
        await documents.save(key, _lease(clock.now() - timedelta(seconds=1), work), etag)


@asynccontextmanager
async def renewed(ports: Ports, key: str, lasts: timedelta, work: str) -> AsyncIterator[bool]:
    """Whether the work is ours, for as long as the body takes. `lasts`: until others go on where this instance dies."""
    documents, clock = ports.documents, ports.clock
    etag = await acquire(documents, key, clock.now(), lasts, work)
    if etag is None:
        yield False
        return

    async def renew() -> None:
        nonlocal etag
        while True:
            await asyncio.sleep(lasts.total_seconds() / 3)
            try:
                etag = await documents.save(key, _lease(clock.now() + lasts, work), etag)
            except Superseded:
                return
            except Transient as error:
                log.warning("a lease was not renewed: %s", {"key": key, "error": str(error)}, extra={"key": key})

    renewing = asyncio.ensure_future(renew())
    try:
        yield True
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        try:
            await release(documents, clock, key, etag, work)
        except HopkeeperError as error:
            log.warning("a lease was not released: %s", {"key": key, "error": str(error)}, extra={"key": key})


def _lease(until: datetime, work: str) -> bytes:
    return msgspec.json.encode(Lease(until=until, work=work))
