"""One slow pass at a time per topology, and one more after it for all that asked meanwhile: a thousand events make two.

The lease saves work, it is no lock and no proof: a pass that overstays it is harmless (safety.md, finding 2).
Order matters: a caller first notes that it asked, then tries the lease; the holder releases, then looks at the notes.
"""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec

from function_app.domain.errors import Superseded
from function_app.reconcile import kept
from function_app.reconcile.outcome import Outcome
from function_app.reconcile.ports import Clock, Documents, Ports

TURNS_MAX = 3
"""Passes that one invocation makes at most; whoever asks after that is served by the next wake-up or sweep."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    until: datetime


async def in_turn(
    ports: Ports, topology: str, lease: timedelta, run: Callable[[], Awaitable[Outcome]]
) -> Outcome | None:
    """Runs a slow pass, and again while others asked meanwhile; None when another one will see to it.

    `lease` is how long a turn is left to an instance that says nothing: one that was killed in it holds up the next.
    """
    documents, clock = ports.documents, ports.clock
    asked_key, lease_key = f"turns/{topology}/asked", f"turns/{topology}/lease"
    await documents.put(asked_key, uuid.uuid4().hex.encode())
    outcome: Outcome | None = None
    for _ in range(TURNS_MAX):
        etag = await _acquire(documents, lease_key, clock.now(), lease)
        if etag is None:
            return outcome
        asked = await documents.load(asked_key)
        try:
            outcome = await run()
        finally:
            await _release(documents, clock, lease_key, etag)
        if await _body(documents, asked_key) == (asked.body if asked else None):
            return outcome
    return outcome


async def _body(documents: Documents, key: str) -> bytes | None:
    stored = await documents.load(key)
    return stored.body if stored else None


async def _acquire(documents: Documents, key: str, now: datetime, lease: timedelta) -> str | None:
    """The lease's etag, or None where another one has it. One beyond `lease` from now is of a clock that was wrong."""
    held, etag = await kept.load(documents, key, Lease)
    if held is not None and now < held.until <= now + lease:
        return None
    try:
        return await documents.save(key, msgspec.json.encode(Lease(until=now + lease)), etag)
    except Superseded:
        return None


async def _release(documents: Documents, clock: Clock, key: str, etag: str) -> None:
    try:
        await documents.save(key, msgspec.json.encode(Lease(until=clock.now() - timedelta(seconds=1))), etag)
    except Superseded:
        return
