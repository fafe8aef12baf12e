"""The real `az` writes whole documents back to the simulated Azure, and what it did not mean to change is as it was."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from simulator.identity import TENANT
from simulator.seeds import HubSeed, hub_seed
from simulator.server import Simulator, SimulatorConfig

AZ = Path(__file__).resolve().parents[2] / "build" / "az" / "bin" / "az"
WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
BALANCER = f"-g {WANTED.group} --lb-name {WANTED.load_balancer}"
POOL = f"{WANTED.load_balancer_id}/backendAddressPools/{WANTED.pool}"


class Az:
    """The command line, signed in to a simulated Azure with a configuration of its own."""

    def __init__(self, sim: Simulator, home: Path) -> None:
        self._environment = {
            **os.environ,
            "AZURE_CONFIG_DIR": str(home),
            "REQUESTS_CA_BUNDLE": str(sim.ca_path),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
        }
        ends = (f"--endpoint-{name} {sim.url}" for name in ("resource-manager", "management", "active-directory"))
        ids = (f"--endpoint-{name}-resource-id {sim.url}" for name in ("active-directory-graph", "microsoft-graph"))
        own = "--endpoint-active-directory-resource-id https://management.core.windows.net/"
        self._login = (
            f"cloud register --name test --skip-endpoint-discovery {' '.join((*ends, *ids))} {own}",
            "cloud set --name test",
            f"login --service-principal --username test --password test --tenant {TENANT}",
        )

    async def sign_in(self) -> None:
        for command in self._login:
            await self.run(command)

    async def run(self, command: str) -> Any:
        """What it printed, as JSON."""
        done = await _run([str(AZ), *command.split(), "--output", "json"], self._environment)
        assert done.returncode == 0, f"az {command}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None


async def _run(argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, check=False)

    return await asyncio.to_thread(run)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    if not AZ.exists():
        pytest.skip("Azure's command line is not installed (make az installs it): it was not tried")
    seed = hub_seed(WANTED)
    for document in seed["resources"]:
        if document["id"] == WANTED.load_balancer_id:
            for member in document["properties"]["backendAddressPools"][0]["properties"][
                "loadBalancerBackendAddresses"
            ]:
                del member["properties"]["ipAddress"]
    async with Simulator(SimulatorConfig(seed, time_factor=200)) as running:
        yield running


@pytest.mark.timeout(180)
async def test_az_changes_what_it_was_to_change_and_nothing_else(sim: Simulator, tmp_path: Path) -> None:
    az = Az(sim, tmp_path)
    await az.sign_in()
    resources = sim.world.state.resources
    document = resources.get(WANTED.load_balancer_id)
    assert document is not None
    before = json.loads(json.dumps(document))

    def differences() -> set[str]:
        now = resources.get(WANTED.load_balancer_id)
        assert now is not None
        own, old = (json.loads(json.dumps(one).replace(one["etag"][3:-1], "")) for one in (now, before))
        rules = zip(own["properties"]["loadBalancingRules"], old["properties"]["loadBalancingRules"], strict=True)
        rest = {name for name in own["properties"] if own["properties"][name] != old["properties"][name]}
        return rest | {
            key
            for one, two in rules
            for key in one["properties"]
            if one["properties"][key] != two["properties"].get(key)
        }

    rule = await az.run(f"network lb rule update {BALANCER} -n all-ports --idle-timeout 10")
    assert (rule["idleTimeoutInMinutes"], rule["backendAddressPools"][0]["id"]) == (10, POOL)
    assert differences() == {"loadBalancingRules", "idleTimeoutInMinutes"}
    await az.run(f"network lb update -g {WANTED.group} -n {WANTED.load_balancer} --set tags.a=b")
    assert differences() == {"loadBalancingRules", "idleTimeoutInMinutes"}

    nic = f"-g {WANTED.group} --nic-name nva-a-nic --ip-config-name ipconfig1"
    of_pool = f"--lb-name {WANTED.load_balancer} --address-pool {WANTED.pool}"
    await az.run(f"network nic ip-config address-pool remove {nic} {of_pool}")
    members = (
        "network lb address-pool show " + BALANCER + f" -n {WANTED.pool} --query loadBalancerBackendAddresses[].name"
    )
    assert await az.run(members) == ["nva-b"]
    await az.run(f"network nic ip-config address-pool add {nic} {of_pool}")
    assert await az.run(members) == ["nva-b", "rg-hub_nva-a-nicipconfig1"]

    metrics = await az.run(f"monitor metrics list --resource {WANTED.load_balancer_id} --metric DipAvailability")
    assert [one["name"]["localizedValue"] for one in metrics["value"]] == ["Health Probe Status"]
