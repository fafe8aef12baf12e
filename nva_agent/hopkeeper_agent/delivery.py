"""Posts reports over HTTP: no redirects, no proxies, the function key from a file that may change."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

# The app answers when its pass is over.
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0

TOLD_MAX = 300  # bytes of somebody else's answer

WHAT_TO_DO: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "the app cannot read the report: are agent and app of one release?",
    HTTPStatus.FORBIDDEN: "the app's network restrictions refuse this machine's address (or the app is stopped): admit its "
    "subnet or prefix (Bicep: callerPrefixes), or lead its way through the private endpoint",
    HTTPStatus.NOT_FOUND: "nothing is served at this path: the address ends in /api/reports; where it does, the app has no "
    "functions",
    HTTPStatus.TOO_MANY_REQUESTS: "the app is busy: try again",
    HTTPStatus.SERVICE_UNAVAILABLE: "the app is there and cannot do its work just now: its log says why; try again",
}
WRONG_KEY = "the function key is wrong: reports.key_file holds that of the function on_report (az functionapp function keys list)"
NOT_ENROLLED = (
    "the key is right, the report is not believed: is agent.crt what the topology in force has for this speaker, and is the "
    "clock right?"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered: an HTTP status, and the beginning of its words."""

    status: int
    text: str

    @property
    def is_taken(self) -> bool:
        """Whether the app acknowledged: a proxy's or a portal's page has a 200 too, and not the outcome of a pass."""
        return 200 <= self.status < 300 and self.text.startswith("{") and '"outcome"' in self.text

    def __str__(self) -> str:
        return f"{self.status} ({self.text})" if self.text else str(self.status)

    def advice(self) -> str:
        """What to do about one that is not good."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            # The platform refuses a key without a word of the app's, which says what it does not believe.
            return NOT_ENROLLED if self.text.startswith('{"error"') else WRONG_KEY
        if 300 <= self.status < 400:
            return "redirects are not followed: write the address that is meant, with https"
        return WHAT_TO_DO.get(self.status, "this is not the app's answer: who is at this address?")


class HttpPost:
    """Delivers reports to one address. Needs a running loop when it is made."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        self._url = url
        self._key_file = key_file
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS)
        )

    async def __call__(self, token: str) -> int | None:
        """Return the HTTP status, or None when there was no answer of the app's or the key cannot be read."""
        try:
            answer = await self.ask(token)
        except (aiohttp.ClientError, OSError, ValueError):
            return None
        return answer.status if answer.is_taken or not 200 <= answer.status < 300 else None

    async def ask(self, token: str) -> Answer:
        """Raises aiohttp.ClientError, OSError (TimeoutError is one) or ValueError where there is no answer."""
        headers = {"Content-Type": "application/jose"}
        if self._key_file is not None:
            headers["x-functions-key"] = self._key_file.read_text().strip()
        async with self._client.post(self._url, data=token, headers=headers, allow_redirects=False) as response:
            words = (await response.content.read(TOLD_MAX)).decode("utf-8", "replace").split()
            return Answer(response.status, "".join(filter(str.isprintable, " ".join(words))))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
