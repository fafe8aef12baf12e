"""Tries a peer's probe port while its heartbeat is overdue: any HTTP answer, 200 or 503, means that it is alive."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

STATUS_LINE_MAX_BYTES = 256
"""Longer than any status line of an agent; the rest of the answer is not read."""

CONNECTIONS = 3
"""At once: a try is too short for TCP to retransmit, and one lost packet must not look like a dead peer."""


async def answers_http(address: IPv4Address, port: int, timeout_seconds: float) -> bool:
    """Whether an HTTP answer begins within `timeout_seconds` on any of a few connections. Raises nothing."""
    tries = [asyncio.ensure_future(_answers(address, port, timeout_seconds)) for _ in range(CONNECTIONS)]
    try:
        for answer in asyncio.as_completed(tries):
            if await answer:
                return True
        return False
    finally:
        for one in tries:
            one.cancel()


async def _answers(address: IPv4Address, port: int, timeout_seconds: float) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(str(address), port, limit=STATUS_LINE_MAX_BYTES)
            try:
                writer.write(f"GET /probe/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/")
            finally:
                writer.transport.abort()
    except (OSError, ValueError):
        # TimeoutError is an OSError; a line beyond the limit is a ValueError.
        return False
