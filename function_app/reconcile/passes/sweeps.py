"""The sweep: when in it a topology is woken, and when the last one came through: what a deployment is checked by, for an app
without functions looks well (ADR 9)."""

import zlib
from datetime import datetime, timedelta

import msgspec

from function_app.reconcile.ports import Documents, Ports
from function_app.reconcile.store import kept, keys

AT_ONCE_MOST = 20
"""So many topologies are swept together: ARM's bucket holds 250 requests."""
APART = timedelta(seconds=0.25)
SPREAD_MOST = timedelta(seconds=50)
"""The sweep comes every minute."""


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


def moment_in_sweep(name: str, among: int) -> timedelta:
    """How long after the sweep a topology is woken: the same each time."""
    if among <= AT_ONCE_MOST:
        return timedelta(0)
    return min(SPREAD_MOST, among * APART) * (zlib.crc32(name.encode()) / 2**32)
