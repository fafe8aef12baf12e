"""The app's own checks of members without an agent, from its subnet: a connection, or one GET; no redirect is followed, no proxy
used, and nothing of an answer is read beyond its status."""

import asyncio
import errno
from datetime import timedelta

import aiohttp

from function_app.domain.service.observation import Value
from function_app.domain.topology.model import MemberCheck, Speaker

_NO_WAY = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE})
"""That say something of us, and nothing of the member."""


class MemberChecksFromHere:
    """Each trial on a connection of its own, as those of agents are. `ping` needs rights that a Function App has not."""

    async def reaches(self, speaker: Speaker, timeout: timedelta) -> Value:
        check = speaker.watch
        if check is None or check.kind == "ping" or check.port is None:
            return Value.UNKNOWN
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                good = await _answers(str(speaker.address), check.port, check)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError too
            return Value.UNKNOWN if getattr(error, "errno", None) in _NO_WAY else Value.BAD
        return Value.OK if good else Value.BAD


async def _answers(address: str, port: int, check: MemberCheck) -> bool:
    if check.kind == "tcp":
        _, writer = await asyncio.open_connection(address, port)
        writer.transport.abort()
        return True
    url = f"http://{address}:{port}{check.path or '/'}"
    async with aiohttp.ClientSession() as client, client.get(url, allow_redirects=False) as response:
        return response.status < 400
