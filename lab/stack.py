"""The stack: everything of a small deployment as processes on loopback. No root, no Azure, nothing beyond loopback.

    simulator      ARM, Monitor, Event Grid, and two Route Server instances that receive real BGP
    load balancer  probes the agents for real and forwards the packets
    nva-a, nva-b   each an agent with its ExaBGP, and a UDP echo that stands for the data path
    host           the Function App in the production worker's own library

All addresses lie in one 127.x.y.0/24 that is drawn anew for every run, so that runs do not disturb each other.
"""

import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from lab import keys
from lab.issuer import Issuer
from lab.kit.agent_toml import AgentFile, Listen, Peer, data_path, neighbours, table
from simulator.seeds import HubSeed, Probe, hub_seed
from tools.functions_host.timer_lock import PERIOD
from tools.processes import READY_WITHIN, Program, Programs, ToolError

ROOT = Path(__file__).resolve().parent.parent
TIME_FACTOR = 20
"""How many times faster than Azure: a peering takes 4 s instead of 80, a load-balancer write 0.15 s instead of 3."""
COMMAND, PROBE, GOSSIP, DATA, BGP = 8443, 8080, 8444, 7777, 1790
TOPOLOGY, SERVICE = "hub-lab", "egress-firewall"
NVAS = ("nva-a", "nva-b")
ASN = 65001

NOBODY_SERVES = 50.0 / len(NVAS)
"""The deployed alert's threshold: averaged over n backends each healthy one gives 100/n (infra/bicep/modules/alerts.bicep)."""

# The lab's clock is TIME_FACTOR times faster than Azure's; what the product waits for is set to match.
TIMING = {
    "learnFor": "PT1S",
    "doubtPoll": "PT1S",
    "spacingStep": "PT0.5S",
    "fenceSettle": "PT1.5S",
    "fenceTimeout": "PT20S",
    "operationDeadline": "PT30S",
    "verifyEvery": "PT10S",
    "observeSlow": "PT4S",
}


@dataclass
class Stack:
    """One run. `async with Stack.make() as stack:` starts nothing yet; see `up`."""

    directory: Path
    net: str
    programs: Programs
    sweep: str = "*/5 * * * * *"
    probe_scale: float = TIME_FACTOR
    """How many times as often as configured (5 s x 2) the load balancer probes."""
    handover: str = "prompt"
    settings: Mapping[str, str] = field(default_factory=dict)
    """App settings besides those of `app_environment`."""
    issuer: Issuer | None = None
    """Where there is one, the platform's authentication is on, and takes its tokens."""
    timing: Mapping[str, Any] = field(default_factory=lambda: dict(TIMING))
    nvas: tuple[str, ...] = NVAS
    simulator_url: str = ""
    host_url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    enrolled: dict[str, Path] = field(default_factory=dict)
    """By NVA the directory that holds its agent's key and certificate."""
    session: aiohttp.ClientSession | None = None

    @classmethod
    def make(cls, directory: Path | None = None) -> Self:
        path = directory or Path(tempfile.mkdtemp(prefix="hopkeeper-"))
        (path / "logs").mkdir(parents=True, exist_ok=True)
        return cls(path, free_network(), Programs(path / "logs", secrets.token_hex(8)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.session is not None:
            await self.session.close()
        await asyncio.to_thread(self.programs.end_all)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- addresses

    def address(self, host: int) -> str:
        return f"{self.net}.{host}"

    @property
    def instances(self) -> tuple[str, str]:
        return self.address(4), self.address(5)

    def nva_address(self, name: str) -> str:
        return self.address(11 + self.nvas.index(name))

    @property
    def frontend(self) -> str:
        return self.address(100)

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    # --- starting

    async def up(self, root: Path = ROOT, port: int = 0, with_nvas: bool = True, in_force: bool = True) -> None:
        """Starts everything; puts the topology in force with `in_force`, else leaves that to the caller. Raises ToolError."""
        self.keys = keys.made(self.directory)
        await self._start_simulator()
        for name in self.nvas:
            self.enroll(name, self.directory / name)
        await self.start_host(root, port)
        if in_force:
            self.apply()
        await self.tell_simulator("POST", "/simulator/events/subscribers", {"url": self.event_webhook})
        await self.tell_simulator("POST", "/simulator/alerts/receivers", {"url": self.alert_webhook})
        if with_nvas:
            await self.start_load_balancer()
            await asyncio.gather(*(self.start_nva(name) for name in self.nvas))

    async def _start_simulator(self) -> None:
        seed = HubSeed(
            backends=tuple((name, self.nva_address(name)) for name in self.nvas),
            instances=self.instances,
            frontend=self.frontend,
            probe=Probe(port=PROBE, path=f"/probe/{SERVICE}"),
        )
        (self.directory / "seed.json").write_text(json.dumps(hub_seed(seed, alert_threshold=NOBODY_SERVES)))
        program = self.programs.start(
            "simulator",
            [
                *[sys.executable, "-m", "simulator", "--port", "0", "--seed", str(self.directory / "seed.json")],
                *["--state", str(self.directory / "simulator"), "--time-factor", str(TIME_FACTOR)],
                *["--bgp-port", str(BGP), "--bgp-hold", "9"],
            ],
            "simulator",
        )
        self.simulator_url = await program.ready()
        context = ssl.create_default_context(cafile=str(self.ca_file))
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), trust_env=False)

    @property
    def ca_file(self) -> Path:
        return self.directory / "simulator" / "ca.pem"

    async def start_load_balancer(self) -> Program:
        """Starts it; it may have been killed before."""
        program = self.programs.start(
            "load-balancer",
            [
                *[
                    sys.executable,
                    "-m",
                    "tools.load_balancer",
                    "--simulator",
                    self.simulator_url,
                    "--ca",
                    str(self.ca_file),
                ],
                *[
                    "--name",
                    "lb-nva",
                    "--frontend",
                    self.frontend,
                    "--port",
                    str(DATA),
                    "--probe-scale",
                    str(self.probe_scale),
                ],
            ],
            "load-balancer",
        )
        await program.ready()
        return program

    async def start_host(self, root: Path = ROOT, port: int = 0) -> Program:
        """Starts the Function App; it may have been killed before."""
        program = self.programs.start(
            f"host-{secrets.token_hex(2)}",
            [
                *[sys.executable, "-m", "tools.functions_host", "--root", str(root), "--port", str(port)],
                *["--placeholder", "--keys", str(self.directory / "keys.json"), "--log-level", "info"],
                *["--timer-lock", str(PERIOD.total_seconds() / TIME_FACTOR)],
                *([] if self.issuer is None else ["--sign-in", str(self.issuer.written(self.directory))]),
            ],
            "host",
            self.app_environment(),
        )
        self.host_url = await program.ready()
        return program

    def app_environment(self) -> dict[str, str]:
        """What a deployment sets: the platform's settings and ours."""
        return {
            "AzureWebJobsStorage": f"directory:{self.storage}",
            "HOPKEEPER_SIGNING_KEY": f"file:{self.directory / 'app.key'}",
            "HOPKEEPER_ARM_ENDPOINT": self.simulator_url,
            "HOPKEEPER_METRICS_ENDPOINT": self.simulator_url,
            "HOPKEEPER_LOGS_ENDPOINT": f"{self.simulator_url}",
            "HOPKEEPER_LOGS_WORKSPACE": "00000000-0000-0000-0000-000000000009",
            "HOPKEEPER_EVENTS_ENDPOINT": f"{self.simulator_url}/topics/hopkeeper/api/events",
            "HOPKEEPER_CA_FILE": str(self.ca_file),
            "HOPKEEPER_ALLOW_LOOPBACK": "true",
            "HOPKEEPER_SWEEP_SCHEDULE": self.sweep,
            "PYTHON_SCRIPT_FILE_NAME": "main.py",
            "IDENTITY_ENDPOINT": f"{self.simulator_url}/msi/token",
            "IDENTITY_HEADER": "lab",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "SSL_CERT_FILE": str(self.ca_file),
            **self.settings,
        }

    def topology(self) -> dict[str, Any]:
        """The operator's document for this run."""
        seed = HubSeed(backends=())
        return {
            "schema": "hopkeeper/v1",
            "name": TOPOLOGY,
            "networks": [f"{self.net}.0/24"],
            "routeServers": [{"name": "rs-hub", "id": seed.route_server_id}],
            "speakers": [
                {
                    "name": name,
                    "address": self.nva_address(name),
                    "asn": ASN,
                    "agent": {"port": COMMAND, "certificate": self._certificate(name).read_text()},
                    "peersWith": ["rs-hub"],
                }
                for name in self.nvas
            ],
            "services": [
                {
                    "name": SERVICE,
                    "mode": "active-passive",
                    "handover": self.handover,
                    "prefixes": ["0.0.0.0/0"],
                    "nextHop": {
                        "loadBalancer": {
                            "id": seed.load_balancer_id,
                            "frontend": "fe",
                            "backendPool": "nvas",
                            "probe": "agent",
                        }
                    },
                    "members": [{"speaker": name, "priority": 200 - 100 * i} for i, name in enumerate(self.nvas)],
                }
            ],
            "timing": dict(self.timing),
        }

    def apply(self) -> None:
        """What an operator does: `hopkeeper apply`. Raises ToolError with its words."""
        file = self.directory / f"{TOPOLOGY}.yaml"
        file.write_text(yaml.safe_dump(self.topology(), sort_keys=False))
        done = subprocess.run(
            [sys.executable, "-m", "function_app.cli", "apply", str(file)],
            env={**os.environ, **self.app_environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ToolError(f"hopkeeper apply failed: {done.stderr}{done.stdout}")

    # --- NVAs

    def _certificate(self, name: str) -> Path:
        return self.enrolled[name] / "agent.crt"

    def enroll(self, name: str, directory: Path) -> None:
        """Makes what is missing of the agent's key and certificate there; its next start, and the next document, use them."""
        agent = [sys.executable, "-m", "hopkeeper_agent.main", "enroll", str(directory), "--name", name]
        subprocess.run(agent, check=True, capture_output=True, timeout=60)
        self.enrolled[name] = directory

    async def start_nva(self, name: str) -> None:
        """Boots an NVA: its data path first, then its agent, which brings up BGP itself."""
        self.start_data_path(name)
        self.start_agent(name)

    def start_agent(self, name: str) -> None:
        config = self.directory / name / "agent.toml"
        config.write_text(self._agent_config(name))
        self.programs.start(f"{name}-agent", [sys.executable, "-m", "hopkeeper_agent.main", "run", str(config)], name)

    async def restart_agent(self, name: str) -> None:
        """As systemd does: the agent gets SIGTERM, and another one is started once it has ended. Its ExaBGP lives on."""
        running = next(one for one in reversed(self.programs.started) if one.name == f"{name}-agent").process
        running.terminate()
        await asyncio.to_thread(running.wait, READY_WITHIN)
        self.start_agent(name)

    def start_data_path(self, name: str) -> None:
        argv = ["--address", self.nva_address(name), "--port", str(DATA), "--name", name]
        self.programs.start(f"{name}-echo", [sys.executable, "-m", "lab.echo", *argv], f"{name}/data")

    def kill_data_path(self, name: str) -> int:
        return self.programs.kill(f"{name}/data")

    def kill_nva(self, name: str) -> int:
        """kill -9: agent, ExaBGP, its helper and the data path; gives how many processes that were."""
        return self.programs.kill(name)

    def _agent_config(self, name: str) -> str:
        mine, listen = self.nva_address(name), Listen(COMMAND, PROBE, GOSSIP)
        file = AgentFile(
            name=name,
            topology=TOPOLOGY,
            address=mine,
            home=self.directory / name,
            app_keys=self.directory / "app-keys.pem",
            listen=listen,
            peers=tuple(
                Peer(peer, self.nva_address(peer), self._certificate(peer), listen)
                for peer in self.nvas
                if peer != name
            ),
            agent=(("key", self.enrolled[name] / "agent.key"), ("certificate", self._certificate(name))),
        )
        return file.text(*self.agent_tables(name))

    def agent_tables(self, name: str) -> tuple[str, ...]:
        """What the agent's file says beside who it and its peers are."""
        mine = self.nva_address(name)
        return (
            table("[reports]", url=f"{self.host_url}/api/reports", key_file=self.directory / "report.key"),
            data_path(mine, DATA, 0.2, 3),
            table("[speaker]", kind="exabgp", address=mine, asn=ASN, port=BGP, hold_time=9),
            neighbours(self.instances),
        )

    # --- asking

    async def tell_simulator(self, method: str, path: str, body: Any = None) -> Any:
        assert self.session is not None
        async with self.session.request(method, self.simulator_url + path, json=body) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise ToolError(f"{method} {path}: {response.status} {answer}")
            return answer

    async def ask_app(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One call of the app's HTTP API, with the key of that function; text is sent as it is, anything else as JSON."""
        assert self.session is not None
        headers = {"x-functions-key": keys.of_path(self.keys, method, path)}
        data = body if isinstance(body, str | None) else json.dumps(body)
        async with self.session.request(method, f"{self.host_url}/api{path}", data=data, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def send_event(self, event: Any) -> int:
        """Delivers to the app as Event Grid does; gives the status code it answered."""
        assert self.session is not None
        headers = {"aeg-event-type": "Notification", "Content-Type": "application/json"}
        async with self.session.post(self.event_webhook, data=json.dumps(event), headers=headers) as response:
            await response.read()
            return response.status

    async def status(self) -> Mapping[str, Any]:
        code, body = await self.ask_app("GET", f"/status/{TOPOLOGY}")
        if code != 200:
            raise ToolError(f"the status answers {code}: {body}")
        found: Mapping[str, Any] = body
        return found

    def history(self) -> list[dict[str, Any]]:
        """Every pass that changed or held something, oldest first."""
        folder = self.storage / "history" / TOPOLOGY / SERVICE
        return [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]

    @property
    def event_webhook(self) -> str:
        """Where Event Grid delivers, with its key."""
        key = self.keys["system"]["eventgrid_extension"]
        return f"{self.host_url}/runtime/webhooks/EventGrid?functionName=on_resource_event&code={key}"

    @property
    def alert_webhook(self) -> str:
        """Where the action group posts, with the key of that function."""
        return f"{self.host_url}/api/alerts?code={keys.of_function(self.keys, 'on_alert')}"


def free_network() -> str:
    """The first three octets of a 127.x.y.0/24 in which nothing listens on our ports."""
    for _ in range(50):
        net = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"  # noqa: S311 - only keeps runs apart
        if all(_free(f"{net}.{host}", port) for host, port in ((4, BGP), (5, BGP), (11, COMMAND), (12, COMMAND))):
            return net
    raise ToolError("no free loopback network was found")


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
