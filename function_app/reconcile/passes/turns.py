"""One slow pass at a time per topology, and one more after it for all that asked meanwhile: a thousand events make two.

Order matters: a caller first notes that it asked, then tries the lease; the holder releases, then looks at the notes.
"""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from function_app.reconcile.passes import leases
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import Documents, Ports
from function_app.reconcile.store import keys

TURNS_MAX = 3
"""Passes that one invocation makes at most; whoever asks after that is served by the next wake-up or sweep."""


async def in_turn(
    ports: Ports, topology: str, lease: timedelta, run: Callable[[], Awaitable[Outcome]]
) -> Outcome | None:
    """Runs a slow pass, and again while others asked meanwhile; None when another one will see to it.

    `lease` is how long a turn is left to an instance that says nothing: one that was killed in it holds up the next.
    """
    documents, clock = ports.documents, ports.clock
    asked_key, lease_key = keys.turn_asked(topology), keys.turn_lease(topology)
    await documents.put(asked_key, uuid.uuid4().hex.encode())
    outcome: Outcome | None = None
    for _ in range(TURNS_MAX):
        etag = await leases.acquire(documents, lease_key, clock.now(), lease)
        if etag is None:
            return outcome
        asked = await documents.load(asked_key)
        try:
            outcome = await run()
        finally:
            await leases.release(documents, clock, lease_key, etag)
        if await _body(documents, asked_key) == (asked.body if asked else None):
            return outcome
    return outcome


async def _body(documents: Documents, key: str) -> bytes | None:
    stored = await documents.load(key)
    return stored.body if stored else None
