"""One slow pass at a time per topology, and one more after it for all requests that came meanwhile: a thousand events make two.

Order matters: a caller that finds the lease held stores its request, then tries the lease again; the holder releases, then reads
the requests. Where the lease is free there is nothing to store: the pass that begins serves the caller.
"""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from function_app.reconcile.passes import leases
from function_app.reconcile.passes.outcome import Outcome
from function_app.reconcile.ports import Documents, Ports
from function_app.reconcile.store import keys

TURNS_MAX = 3
"""Passes that one invocation makes at most; a request after that is served by the next wake-up or sweep."""


async def in_turn(
    ports: Ports, topology: str, lease: timedelta, run: Callable[[], Awaitable[Outcome]]
) -> Outcome | None:
    """Runs a slow pass, and again while others requested one meanwhile; None where the instance that holds the lease will run it.

    `lease` is how long a turn is left to an instance that says nothing: one that was killed in it holds up the next.
    """
    documents, clock = ports.documents, ports.clock
    request_key, lease_key = keys.turn_asked(topology), keys.turn_lease(topology)
    outcome: Outcome | None = None
    for turn in range(TURNS_MAX):
        etag = await leases.acquire(documents, lease_key, clock.now(), lease)
        if etag is None and turn == 0:
            await documents.put(request_key, uuid.uuid4().hex.encode())
            etag = await leases.acquire(documents, lease_key, clock.now(), lease)
        if etag is None:
            return outcome
        request = await documents.load(request_key)
        try:
            outcome = await run()
        finally:
            await leases.release(documents, clock, lease_key, etag)
        if await _body(documents, request_key) == (request.body if request else None):
            return outcome
    return outcome


async def _body(documents: Documents, key: str) -> bytes | None:
    stored = await documents.load(key)
    return stored.body if stored else None
