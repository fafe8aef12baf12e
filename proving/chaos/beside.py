"""What goes on beside a trouble in a soak: floods of what wakes the app, and an ARM that answers 429 to everything."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.identity import Identity, Issuer
from hopkeeper_agent.jws import Signer
from hopkeeper_agent.reports import report

from lab.stack import NVAS, ROOT, TOPOLOGY, Stack
from simulator.seeds import HubSeed

SENDERS = 8
"""Requests of a flood under way at once."""
REQUESTS_MAX = 1000
"""Requests of one flood at most."""
ANSWERED_WITHIN = 10.0
"""Seconds after which a request of a flood counts as lost."""
RETRY_AFTER = 1
"""What the header of a 429 says, in seconds that are not shrunk."""


class Beside(StrEnum):
    """See the module."""

    NOTHING = "nothing"
    REPORTS = "reports"
    ALERTS = "alerts"
    EVENTS = "events"
    REFUSED = "429 of ARM"


FLOODS = frozenset({Beside.REPORTS, Beside.ALERTS, Beside.EVENTS})


@dataclass
class Answers:
    """Of floods, by kind: how many requests were sent, how many got no answer, and how many got each status code."""

    sent: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


async def go_on(stack: Stack, beside: Beside, seconds: float, answers: Answers) -> None:
    """For so long, or until REQUESTS_MAX."""
    if beside in FLOODS:
        await _flood(stack, beside, seconds, answers)
    elif beside is Beside.REFUSED:
        await stack.tell_simulator("POST", "/simulator/faults", {"arm": "throttle", "arm_retry_after": RETRY_AFTER})
        try:
            await asyncio.sleep(seconds)
        finally:
            await stack.tell_simulator("POST", "/simulator/faults", {"arm": "ok"})


async def _flood(stack: Stack, kind: Beside, seconds: float, answers: Answers) -> None:
    requests, end = iter(range(REQUESTS_MAX)), time.monotonic() + seconds
    post = {Beside.REPORTS: _reports, Beside.ALERTS: _alerts, Beside.EVENTS: _events}[kind](stack)

    async def send() -> None:
        for number in requests:
            if time.monotonic() > end:
                return
            answers.sent[kind] += 1
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    answers.codes[f"{kind} {await post(number)}"] += 1
            except (aiohttp.ClientError, TimeoutError, OSError):
                answers.lost[kind] += 1
                await asyncio.sleep(0.05)  # the host is away: what is refused at once would use up the flood

    await asyncio.gather(*(send() for _ in range(SENDERS)))


type Post = Callable[[int], Awaitable[int]]


def _reports(stack: Stack) -> Post:
    """By turns signed with an agent's key, as one that is stolen, and with a broken signature."""
    made = _signed(stack)

    async def post(number: int) -> int:
        token = next(made)
        text = token if number % 2 else token[:-8] + "AAAAAAAA"
        return (await stack.ask_app("POST", "/reports", text))[0]

    return post


def _signed(stack: Stack) -> Iterator[str]:
    status = json.loads((ROOT / "contracts" / "examples" / "report-peer-failed.json").read_text())["status"]
    name = NVAS[0]
    signer = Signer.from_pem((stack.enrolled[name] / "agent.key").read_bytes())
    issuer = Issuer(Identity(name, TOPOLOGY), signer, Clock())
    while True:
        yield report(issuer, "peer failed: nva-b", {**status, "agent": name, "topology": TOPOLOGY})


def _alerts(stack: Stack) -> Post:
    alert = {"data": {"essentials": {"alertTargetIDs": [HubSeed(backends=()).load_balancer_id]}}}

    async def post(_: int) -> int:
        return (await stack.ask_app("POST", "/alerts", alert))[0]

    return post


def _events(stack: Stack) -> Post:
    pool = f"{HubSeed(backends=()).load_balancer_id}/backendAddressPools/nvas"

    async def post(number: int) -> int:
        written = {"eventType": "Microsoft.Resources.ResourceWriteSuccess", "data": {"resourceUri": pool}}
        when = {"eventTime": "2026-01-01T00:00:00Z", "dataVersion": "1"}
        return await stack.send_event([{"id": f"soak-{number}", "subject": pool, **written, **when}])

    return post
