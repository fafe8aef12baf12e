"""How the host answers for a function, without a worker behind it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp.test_utils import make_mocked_request

from tests.entrypoint.test_host_queue_listener import on_virtual_time
from tools.functions_host.errors import FunctionFailedError
from tools.functions_host.functions import Binding, Function
from tools.functions_host.http_functions import ANSWER_WITHIN, HttpFunctions
from tools.functions_host.invoker import Invoker
from tools.functions_host.keys import Keys

TRIGGER = Binding("httpTrigger", "req", {"route": "slow", "authLevel": "ANONYMOUS"})
SLOW = Function("id", "slow", TRIGGER, (), disabled=False)


class Slow(Invoker):
    """A function that answers after `seconds`, or fails then."""

    def __init__(self, seconds: float, *, fails: bool = False) -> None:
        self._seconds = seconds
        self._fails = fails
        self.finished = False

    async def run(
        self,
        function: Function,
        data: Any,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        await asyncio.sleep(self._seconds)
        self.finished = True
        if self._fails:
            raise FunctionFailedError(function.name, "late", "")
        return "done"


def ask(invoker: Slow, *, then_wait: float = 0.0) -> int:
    async def story() -> int:
        http = HttpFunctions([SLOW], "api", Keys("m", {}, {}, {}), invoker)
        answer = await http.answer(make_mocked_request("GET", "/api/slow"))
        await asyncio.sleep(then_wait)
        return answer.status

    return on_virtual_time(story)


def test_the_caller_is_answered_504_after_230_seconds_and_the_function_runs_on() -> None:
    for fails in (False, True):
        invoker = Slow(ANSWER_WITHIN.total_seconds() + 60, fails=fails)
        assert ask(invoker, then_wait=100) == 504
        assert invoker.finished


def test_an_answer_within_230_seconds_is_given() -> None:
    assert ask(Slow(ANSWER_WITHIN.total_seconds() - 1)) == 200
