"""What the load balancer and the peers ask: may this appliance take new flows of a service?

200 only while it serves the service and is fit, 503 for everything else. It reads, it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from hopkeeper_agent.listener import Handler
from hopkeeper_agent.role import ServiceState, answers

PATH = "/probe/"


class Probed(Protocol):
    """The agent as the probe sees it."""

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """The state of each service."""

    def fatal(self) -> tuple[str, ...]:
        """Why the appliance is unfit; empty means fit."""


def probe_handler(agent: Probed) -> Handler:
    """Answer GET /probe/{service}, and GET /probe/ for any service at all."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD") or not request.path.startswith(PATH):
            return web.Response(status=404)
        service = request.path.removeprefix(PATH)
        current = agent.states
        asked = list(current.values()) if not service else [current[service]] if service in current else []
        answering = any(answers(state, agent.fatal()) for state in asked)
        return web.Response(status=200 if answering else 503, text="serving\n" if answering else "not serving\n")

    return handle
