"""Simulator and app without NVAs, and a sweep that never comes."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from lab.issuer import Issuer
from lab.stack import TOPOLOGY, Stack


@asynccontextmanager
async def app_alone(
    settings: Mapping[str, str] = MappingProxyType({}), issuer: Issuer | None = None
) -> AsyncIterator[Stack]:
    async with Stack.make() as made:
        made.sweep, made.settings, made.issuer = "0 0 0 1 1 *", settings, issuer
        await made.up(with_nvas=False)
        yield made


@asynccontextmanager
async def app_after_a_look() -> AsyncIterator[Stack]:
    async with app_alone() as made:
        end = time.monotonic() + 30
        while (await made.ask_app("POST", f"/reconcile/{TOPOLOGY}"))[1]["outcome"] == "pending":
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        yield made
