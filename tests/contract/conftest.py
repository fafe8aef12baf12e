"""What the tests of the Azure adapters have in common: adapters on the simulator that their `sim` makes."""

from collections.abc import AsyncIterator

import pytest

from function_app.adapters.arm.client import Azure
from simulator.server import Simulator
from tests.contract.adapters_azure import azure_at


@pytest.fixture
async def azure(sim: Simulator) -> AsyncIterator[Azure]:
    async with azure_at(sim.url, sim.ca_path) as clients:
        yield clients
