"""The Function App of a world: in the production worker's own library, over the simulated Resource Manager.

It runs on the management node. NVAs reach it through a relay there, so that their path to it can be cut.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
import yaml

from function_app.reconcile.store.keys import history as journal_of
from lab import keys
from lab.packets.balancer import Balancer
from lab.packets.fabric import ADDRESSES, MGMT
from lab.packets.lab import Lab
from lab.packets.storage import Storage
from lab.stack import ROOT
from tools.processes import ToolError

PORT = 7071
HOST = f"{MGMT}/host"
SWEEP = "*/10 * * * * *"
"""Six times as often as deployed: failovers do not wait for it, but the return to rest between two runs would."""


class App:
    def __init__(self, lab: Lab, balancer: Balancer, storage: Storage) -> None:
        self._lab = lab
        self._balancer = balancer
        self._storage = storage
        self.report_url = f"http://{ADDRESSES[MGMT]}:{PORT}/api/reports"
        self._session = aiohttp.ClientSession(trust_env=False)
        self._keys = keys.made(lab.directory)

    async def close(self) -> None:
        await self._session.close()
        await self._storage.close()

    async def start(self) -> None:
        await self._start_host()
        ends = ["--listen", f"{ADDRESSES[MGMT]}:{PORT}", "--to", f"127.0.0.1:{PORT}"]
        await self._lab.start_python("relay", MGMT, ends).ready()

    async def restart(self) -> None:
        """A cold app: nothing is imported, no connection is open, and it has answered no request yet."""
        self._lab.programs.kill(HOST)
        await self._start_host()

    async def _start_host(self) -> None:
        argv = [sys.executable, "-m", "tools.functions_host", "--root", str(ROOT), "--port", str(PORT)]
        options = [
            "--placeholder",
            "--keys",
            str(self._lab.directory / "keys.json"),
            "--state",
            str(self._lab.directory / "host"),
        ]
        name = f"host-{len(self._lab.programs.started)}"
        await self._lab.start(name, MGMT, [*argv, *options], HOST, self._environment()).ready()

    def _environment(self) -> dict[str, str]:
        """What a deployment sets: the platform's settings and ours."""
        url, ca = self._balancer.url, str(self._balancer.ca_file)
        return {
            "AzureWebJobsStorage": self._storage.connection,
            "HOPKEEPER_SIGNING_KEY": f"file:{self._lab.directory / 'app.key'}",
            "HOPKEEPER_ARM_ENDPOINT": url,
            "HOPKEEPER_METRICS_ENDPOINT": url,
            "HOPKEEPER_CA_FILE": ca,
            "HOPKEEPER_SWEEP_SCHEDULE": SWEEP,
            "PYTHON_SCRIPT_FILE_NAME": "main.py",
            "IDENTITY_ENDPOINT": f"{url}/msi/token",
            "IDENTITY_HEADER": "lab",
            "REQUESTS_CA_BUNDLE": ca,
            "SSL_CERT_FILE": ca,
        }

    async def apply(self, topology: Mapping[str, Any]) -> None:
        """What an operator does: `hopkeeper apply`. Raises ToolError with its words."""
        file = self._lab.directory / f"{topology['name']}.yaml"
        file.write_text(yaml.safe_dump(dict(topology), sort_keys=False))
        argv = [sys.executable, "-m", "function_app.cli", "apply", str(file)]
        environment = {**os.environ, **self._environment()}
        done = await asyncio.to_thread(
            subprocess.run, argv, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise ToolError(f"hopkeeper apply failed: {done.stderr}{done.stdout}")

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the app's HTTP API, with the key of that function. Raises ToolError."""
        headers = {"x-functions-key": keys.of_path(self._keys, method, path)}
        url = f"http://127.0.0.1:{PORT}/api{path}"
        async with self._session.request(method, url, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
        if response.status >= 400:
            raise ToolError(f"{method} {path}: {response.status} {answer}")
        return answer

    async def history(self, topology: str, service: str) -> list[dict[str, Any]]:
        """Every pass that changed or held something, oldest first."""
        documents = self._storage.documents
        loaded = [await documents.load(key) for key in await documents.keys(journal_of(topology, service))]
        return [msgspec.json.decode(document.body) for document in loaded if document is not None]


def phases(history: list[dict[str, Any]], struck: float) -> dict[str, Any]:
    """Seconds after `struck` (monotonic): report's arrival, decision, proof, promotion done; and the proof in words."""
    fault = time.time() - (time.monotonic() - struck)
    steps = [(entry, step) for entry in history if _stamp(entry["ended"]) > fault for step in entry["steps"]]
    begun = ((e, s) for e, s in steps if s["phase"].endswith("→ fencing") and not s["phase"].startswith("fencing"))
    opened = next(begun, None)
    granted = next((s for _, s in steps if s["phase"] == "fencing → granted" and "performed" in s), None)
    found: dict[str, Any] = {}
    if opened is not None:
        found["detected"] = round(_stamp(opened[0]["woken"]) - fault, 3)
        found["decided"] = round(_stamp(opened[1]["at"]) - fault, 3)
        found["because"] = opened[1]["because"]
    if granted is not None:
        found["fenced"] = round(_stamp(granted["at"]) - fault, 3)
        found["commanded"] = round(_stamp(granted["performed"]) - fault, 3)
        found["proof"] = granted["because"]
    return found


def _stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
