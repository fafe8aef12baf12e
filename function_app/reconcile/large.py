"""Work that grows with data, beside the event loop: failovers of other topologies need that meanwhile."""

import asyncio
from collections.abc import Callable

BYTES = 16 * 1024
"""Of a document: some 20 ms to decode YAML; documents of a dozen NVAs have a quarter of it."""
ROWS = 1000
"""Of routes: some 10 ms to compare."""


async def beside[T](size: int, most: int, work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread where `size` is more than `most`."""
    return await asyncio.to_thread(work) if size > most else work()
