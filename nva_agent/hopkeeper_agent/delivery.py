"""Posts reports over HTTP: no redirects, no proxies, the function key from a file that may change."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

TIMEOUT_SECONDS = 30.0
"""The app answers when its pass is over."""
CONNECT_SECONDS = 5.0

ANSWER_MAX_BYTES = 300
"""So much of an answer is read: it goes into messages for people."""

WHAT_TO_DO: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "the app cannot read the report: are agent and app of one release?",
    HTTPStatus.FORBIDDEN: "the app's network restrictions refuse this machine's address (or the app is stopped): admit its "
    "subnet or prefix (Bicep: callerPrefixes), or let it reach the app through the private endpoint",
    HTTPStatus.NOT_FOUND: "nothing is served at this path: the address must end in /api/reports; if it does, the app has no "
    "functions",
    HTTPStatus.TOO_MANY_REQUESTS: "the app is busy: try again",
    HTTPStatus.SERVICE_UNAVAILABLE: "the app runs and cannot work at the moment: its log says why; try again",
}
WRONG_KEY = (
    "the function key is wrong: reports.key_file must hold that of the function on_report "
    "(az functionapp function keys list)"
)
NOT_ENROLLED = (
    "the key is right, but the report is not authentic to the app: is agent.crt the certificate of this speaker in the "
    "topology in force, and is the clock right?"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app answered: the HTTP status, and the beginning of the body."""

    status: int
    text: str

    @property
    def is_taken(self) -> bool:
        """Whether the app acknowledged. A proxy's page may be a 200 too, but has no outcome of a pass."""
        return 200 <= self.status < 300 and self.text.startswith("{") and '"outcome"' in self.text

    def __str__(self) -> str:
        return f"{self.status} ({self.text})" if self.text else str(self.status)

    def advice(self) -> str:
        """What to do about an answer that is no acknowledgement."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            # The platform refuses a function key with an empty body; the app gives its reason in JSON.
            return NOT_ENROLLED if self.text.startswith('{"error"') else WRONG_KEY
        if 300 <= self.status < 400:
            return "redirects are not followed: write the address it redirects to, with https"
        return WHAT_TO_DO.get(self.status, "this is not the app's answer: which server has this address?")


class HttpPost:
    """Delivers reports to one address. Make it in a running event loop."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        self._url = url
        self._key_file = key_file
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS)
        )

    async def __call__(self, token: str) -> int | None:
        """Return the HTTP status; None without an answer of the app's, or if the key cannot be read."""
        try:
            answer = await self.send(token)
        except (aiohttp.ClientError, OSError, ValueError):
            return None
        return answer.status if answer.is_taken or not 200 <= answer.status < 300 else None

    async def send(self, token: str) -> Answer:
        """Post a report. Without an answer raises aiohttp.ClientError, OSError (TimeoutError is one) or ValueError."""
        headers = {"Content-Type": "application/jose"}
        if self._key_file is not None:
            headers["x-functions-key"] = self._key_file.read_text().strip()
        async with self._client.post(self._url, data=token, headers=headers, allow_redirects=False) as response:
            body = (await response.content.read(ANSWER_MAX_BYTES)).decode("utf-8", "replace").split()
            return Answer(response.status, "".join(filter(str.isprintable, " ".join(body))))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
