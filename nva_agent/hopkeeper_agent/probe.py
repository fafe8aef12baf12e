"""The load balancer's probe, which peers try too: may this appliance take new flows of a service?

200 only while it serves the service and is fit, otherwise 503. What makes it so is decided in `role` and `checks`.
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
        probed = list(current.values()) if not service else [current[service]] if service in current else []
        answering = any(answers(state, agent.fatal()) for state in probed)
        return web.Response(status=200 if answering else 503, text="serving\n" if answering else "not serving\n")

    return handle
