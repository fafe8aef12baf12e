"""When the last sweep came through: what a deployment is checked by, for an app without functions looks well (ADR 9)."""

from datetime import datetime

import msgspec

from function_app.reconcile.ports import Documents, Ports
from function_app.reconcile.store import kept, keys


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """`woken`: the topologies that were woken."""

    at: datetime
    woken: tuple[str, ...] = ()


async def keep_sweep(ports: Ports, woken: tuple[str, ...]) -> None:
    """The last writer is right. Raises Unavailable."""
    await ports.documents.put(keys.SWEEP, msgspec.json.encode(Sweep(at=ports.clock.now(), woken=woken)))


async def last_sweep(documents: Documents) -> Sweep | None:
    """None where none came through yet, or what is stored cannot be read. Raises Unavailable."""
    found, _ = await kept.load(documents, keys.SWEEP, Sweep)
    return found
