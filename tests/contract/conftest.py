"""What the tests against the simulator have in common: adapters, and Azure's own client, on the one that their `sim` makes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from azure.mgmt.network.aio import NetworkManagementClient

from function_app.adapters.arm.client import Azure
from lab.kit.credential import Credential
from simulator.seeds import SUBSCRIPTION
from simulator.server import Simulator
from tests.contract.adapters_azure import azure_at


@pytest.fixture
async def azure(sim: Simulator) -> AsyncIterator[Azure]:
    async with azure_at(sim.url, sim.ca_path) as clients:
        yield clients


@pytest.fixture
async def network(sim: Simulator) -> AsyncIterator[Any]:
    """The SDK's client, without its retries."""
    async with NetworkManagementClient(
        Credential(), SUBSCRIPTION, base_url=sim.url, connection_verify=str(sim.ca_path), retry_total=0
    ) as client:
        yield client
