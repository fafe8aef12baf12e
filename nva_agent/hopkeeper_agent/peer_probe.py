"""Tries a peer's probe port while its gossip is bad: any HTTP answer means it lives, 200 and 503 alike."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

# Longer than any status line of ours; the rest of the answer does not matter.
STATUS_LINE_MAX_BYTES = 256


# A try is too short for TCP to send anything again: side by side, one lost packet is not taken for a dead peer.
SIDE_BY_SIDE = 3


async def answers_http(address: IPv4Address, port: int, timeout_seconds: float) -> bool:
    """Whether an HTTP answer begins within the time, on any of a few connections."""
    tries = [asyncio.ensure_future(_answers(address, port, timeout_seconds)) for _ in range(SIDE_BY_SIDE)]
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
