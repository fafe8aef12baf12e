"""The bound of everything that a trigger starts: a look, a sweep, an order, a rehearsal, a status.

At functionTimeout (10 minutes, host.json) the platform kills the worker, unannounced, with every other pass in it; its front
end answers 504 for a caller after 230 seconds. What ends here by itself does neither. A pass may be cut off anywhere: what
it wrote stands in the records, and the next look goes on from there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import wraps

from function_app.domain.base.errors import Transient

LIMIT = timedelta(seconds=200)
"""Three fences through the load balancer by the default `fenceTimeout`, and still an answer before the front end's."""

log = logging.getLogger("hopkeeper.trigger")


class Overran(Transient):
    """The work did not end within LIMIT and was cut off."""


def bounded[**P, R](handler: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """The handler, cut off after LIMIT. Raises Overran, which a queue repeats and `foreseen` answers with 503."""

    @wraps(handler)
    async def limited(*given: P.args, **named: P.kwargs) -> R:
        try:
            async with asyncio.timeout(LIMIT.total_seconds()) as within:
                return await handler(*given, **named)
        except TimeoutError as error:
            if not within.expired():
                raise
            said = (
                f"{handler.__name__} did not end within {LIMIT.total_seconds():.0f} s and was cut off: what it wrote stands, "
                "and the next look goes on from there; if this comes again, look for what does not answer in its log"
            )
            log.error(said)
            raise Overran(said, timedelta(seconds=10)) from error

    setattr(limited, "limit", LIMIT)  # noqa: B010 - for the test that no trigger is without one
    return limited
