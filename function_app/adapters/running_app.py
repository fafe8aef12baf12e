"""Requests a deployed app's functions and status over HTTP, with its master key: for the command line only."""

import asyncio

import aiohttp

from function_app.adapters import connecting
from function_app.reconcile.deployed import Answered

TIMEOUT = aiohttp.ClientTimeout(total=30)
KEY_HEADER = "x-functions-key"


async def ask_app(url: str, key: str) -> tuple[Answered, Answered]:
    """The answers of /admin/functions and of /api/status. Where there is none, it says why."""
    async with aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True, headers={KEY_HEADER: key}) as session:
        functions, overview = await asyncio.gather(
            *(_answered(session, f"{url.rstrip('/')}{path}") for path in ("/admin/functions", "/api/status"))
        )
    return functions, overview


async def _answered(session: aiohttp.ClientSession, url: str) -> Answered:
    try:
        async with session.get(url, allow_redirects=False) as response:
            text = await response.text(errors="replace")
            try:
                return Answered(response.status, await response.json(content_type=None))
            except ValueError:
                return Answered(response.status, text[:200])
            except RecursionError:
                return Answered(
                    response.status, why=f"it answers {response.status} with JSON that is nested too deeply"
                )
    except TimeoutError:
        return Answered(why=f"no answer within {TIMEOUT.total:.0f} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Answered(why=connecting.why(error))
