"""One small deployment on loopback addresses of its own: who is where, with which keys, and the documents that say so."""

import random
import socket
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hopkeeper_agent.config import Config, decode
from hopkeeper_agent.enroll import enroll

from function_app.adapters.agents.jws import AppKey
from function_app.domain.topology.document import decode as decode_topology
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.domain.topology.peering_names import peering_name
from simulator.seeds import HubSeed, Probe, hub_seed

TIME_FACTOR = 20.0
"""How many times faster than Azure the simulator lives: a pool write takes 0.15 s."""
TOPOLOGY, SERVICE = "hub-wire", "egress"
ASN = 65001
COMMAND, PROBE, GOSSIP = 9443, 8080, 8444
"""What an agent listens on."""
COMMAND_WAY, PROBE_WAY, GOSSIP_WAY = 8443, 9080, 9444
"""Where others reach it: the app at the first, its peers at the other two. The load balancer's probe needs no way."""
GOSSIP_SECONDS = 0.1

TIMING = {
    "learnFor": "PT0.5S",
    "doubtPoll": "PT0.5S",
    "spacingStep": "PT0.2S",
    "spacingMax": "PT1S",
    "fenceSettle": "PT1.5S",
    "fenceTimeout": "PT4S",
    "operationDeadline": "PT6S",
    "verifyEvery": "PT3S",
    "observeFast": "PT0.8S",
    "observeSlow": "PT2S",
    "commandTimeout": "PT0.8S",
    "readyFor": "PT1S",
    "sweep": "PT0.5S",
}
"""What the product waits for, to match `TIME_FACTOR`; nothing that it does by itself takes longer than seconds."""


@dataclass(frozen=True)
class Deployment:
    """Who is where. `directory` takes everything that is written."""

    directory: Path
    net: str
    names: tuple[str, ...]
    key: AppKey

    @classmethod
    def make(cls, directory: Path, members: int) -> "Deployment":
        """Makes the app's key and enrols every agent."""
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        names = tuple(f"nva-{letter}" for letter in "abcd"[:members])
        made = cls(directory, free_network(), names, AppKey.from_pem(pem))
        (directory / "app-keys.pem").write_text(made.key.public_pem)
        for name in names:
            enroll(directory / name, name)
            made.forwarding(name).write_text("1\n")
        return made

    def address(self, name: str) -> IPv4Address:
        return IPv4Address(f"{self.net}.{11 + self.names.index(name)}")

    def name_of(self, address: str) -> str | None:
        return next((name for name in self.names if str(self.address(name)) == address), None)

    def certificate(self, name: str) -> str:
        return (self.directory / name / "agent.crt").read_text()

    def forwarding(self, name: str) -> Path:
        """The file that the agent's only self-check reads, as if it were the kernel's."""
        return self.directory / name / "ip_forward"

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    @property
    def seed(self) -> HubSeed:
        return HubSeed(
            backends=tuple((name, str(self.address(name))) for name in self.names),
            instances=(f"{self.net}.4", f"{self.net}.5"),
            frontend=f"{self.net}.100",
            probe=Probe(port=PROBE, path=f"/probe/{SERVICE}"),
        )

    def azure(self, with_peerings: bool) -> dict[str, Any]:
        """The simulator's seed, with the peerings there already or still to be made."""
        document = hub_seed(self.seed, alert_threshold=None)
        if with_peerings:
            hub = self.seed.route_server_id
            document["resources"] += [
                {
                    "id": f"{hub}/bgpConnections/{peering_name(TOPOLOGY, name)}",
                    "type": "Microsoft.Network/virtualHubs/bgpConnections",
                    "properties": {"peerIp": str(self.address(name)), "peerAsn": ASN},
                }
                for name in self.names
            ]
        return document

    @cached_property
    def document(self) -> str:
        """The operator's topology."""
        speakers = [
            {
                "name": name,
                "address": str(self.address(name)),
                "asn": ASN,
                "agent": {"port": COMMAND_WAY, "certificate": self.certificate(name)},
                "peersWith": ["rs-hub"],
            }
            for name in self.names
        ]
        balancer = {
            "id": self.seed.load_balancer_id,
            "frontend": "fe",
            "backendPool": "nvas",
            "probe": "agent",
        }
        service = {
            "name": SERVICE,
            "mode": "active-passive",
            "prefixes": ["0.0.0.0/0"],
            "nextHop": {"loadBalancer": balancer},
            "members": [{"speaker": name, "priority": 200 - 10 * i} for i, name in enumerate(self.names)],
            "failover": {"rehearse": "ordered"},
        }
        document = {
            "schema": "hopkeeper/v1",
            "name": TOPOLOGY,
            "networks": [f"{self.net}.0/24"],
            "routeServers": [{"name": "rs-hub", "id": self.seed.route_server_id}],
            "speakers": speakers,
            "services": [service],
            "timing": TIMING,
        }
        return yaml.safe_dump(document, sort_keys=False)

    @cached_property
    def topology(self) -> Topology:
        return decode_topology(self.document, Place(allow_loopback=True))

    def agent_config(self, name: str, reports: str) -> Config:
        """`reports` is the URL that the agent reports to."""
        folder = self.directory / name
        peers = "".join(
            f"""
[[peers]]
name = "{other}"
address = "{self.address(other)}"
gossip = {GOSSIP_WAY}
probe = {PROBE_WAY}
certificate = "{self.directory / other}/agent.crt"
"""
            for other in self.names
            if other != name
        )
        return decode(
            f"""
[agent]
name = "{name}"
topology = "{TOPOLOGY}"
address = "{self.address(name)}"
machine = "{name}"
state = "{folder}/state"
key = "{folder}/agent.key"
certificate = "{folder}/agent.crt"
app_keys = "{self.directory}/app-keys.pem"
[listen]
command = {COMMAND}
probe = {PROBE}
gossip = {GOSSIP}
[gossip]
period_seconds = {GOSSIP_SECONDS}
[reports]
url = "{reports}"
{peers}
[[checks]]
name = "forwarding"
kind = "forwarding"
path = "{self.forwarding(name)}"
fatal = true
period_seconds = 0.1
fall = 2
rise = 2
"""
        )


def free_network() -> str:
    """The first three octets of a 127.x.y.0/24 in which nothing listens on an agent's port."""
    draw = random.SystemRandom()
    while True:
        net = f"127.{draw.randint(16, 250)}.{draw.randint(1, 250)}"
        if all(_free(f"{net}.{host}") for host in range(11, 15)):
            return net


def _free(address: str) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind((address, COMMAND_WAY))
        except OSError:
            return False
    return True
