"""Posts reports over HTTP: no redirects, no proxies, the function key from a file that may change."""

from __future__ import annotations

from pathlib import Path

import aiohttp

# The app answers when its pass is over.
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0


class HttpPost:
    """Delivers reports to one address. Needs a running loop when it is made."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        self._url = url
        self._key_file = key_file
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS)
        )

    async def __call__(self, token: str) -> int | None:
        """Return the HTTP status, or None when there was no answer or the key cannot be read."""
        headers = {"Content-Type": "application/jose"}
        try:
            if self._key_file is not None:
                headers["x-functions-key"] = self._key_file.read_text().strip()
            async with self._client.post(self._url, data=token, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
