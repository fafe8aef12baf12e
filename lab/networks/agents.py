"""Our agents in a world: enrolled, beside a daemon that runs what is rendered, and ordered as the app orders them.

The commands come from the app's own code, and its own adapter signs, sends and verifies. *When* they are sent is decided by
the case: no app decides here (`lab.packets` has one), and an acknowledgement is the only proof of a fence.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Address

from cryptography.hazmat.primitives.asymmetric import ec
from hopkeeper_agent.enroll import enroll
from msgspec.structs import replace

from function_app.adapters.agents.http import AgentsOverHttp
from function_app.adapters.agents.jws import AppKey
from function_app.adapters.clock import SystemClock
from function_app.domain.service.advertise import wanted
from function_app.domain.service.observation import AgentStatus, Unreachable
from function_app.domain.service.outward import wanted_outward
from function_app.domain.service.steps import SendAdvertise, SendFence, SendOutward, SendPromote
from function_app.domain.topology.model import Agent, Neighbour, Service, Speaker
from function_app.reconcile.ports import AgentCommand
from lab.kit.agent_toml import AgentFile, Listen, neighbours, table
from lab.networks import hub_agent
from lab.networks.daemons import AGENT_FILES
from lab.networks.network import Network
from lab.packets.agents import COMMAND, ENVIRONMENT, GOSSIP, PROBE
from lab.packets.lab import until
from tools.processes import READY_WITHIN, ToolError

ANSWER = timedelta(seconds=5)
APP_KEYS = "app-keys.pem"
BIRD_FILE = AGENT_FILES / "bird.conf"
"""What a rendered BIRD configuration includes: one BIRD with an agent in a world."""


class Agents:
    """Of one world. `close` when done."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._key = AppKey(ec.generate_private_key(ec.SECP256R1()))
        self._app = AgentsOverHttp(self._key, SystemClock())
        self._enrolled: dict[str, Speaker] = {}

    async def close(self) -> None:
        await self._app.close()

    # --- agents and their daemons

    async def start(self, name: str, vendor: str, outward: tuple[Neighbour, ...] = (), besides: str = "") -> None:
        """The agent, and the daemon beside it with what is rendered, then the operator's own part, `besides`.

        An ExaBGP is the agent's own: it writes what ExaBGP reads, and starts it. BIRD is started once the agent has made
        the file that its configuration includes.
        """
        if vendor == "frr":
            self._network.start_speaker(name, vendor, besides)
        await self.start_beside(name, vendor, outward)
        if vendor == "bird":
            self._network.start_speaker(name, vendor, besides)

    async def start_beside(self, name: str, vendor: str, outward: tuple[Neighbour, ...] = ()) -> None:
        """The agent alone; beside a BIRD it has made the file that a configuration may include then."""
        network, home = self._network, self._network.directory / name
        speaker = network.plan.topology.speaker(name)
        pem = enroll(home, name)
        self._enrolled[name] = replace(speaker, agent=Agent(port=COMMAND, certificate=pem))
        (home / APP_KEYS).write_text(self._key.public_pem)
        config = home / "agent.toml"
        config.write_text(self.configuration(speaker, vendor, outward))
        network.vendors[name] = vendor
        network.start(name, "agent", hub_agent.argv(config), ENVIRONMENT)
        if vendor == "bird":
            await until(f"the agent of {name} makes {BIRD_FILE}", BIRD_FILE.exists)

    def configuration(self, speaker: Speaker, vendor: str, outward: tuple[Neighbour, ...]) -> str:
        """The agent's own file: what `render` says in words for it, with the files of this world."""
        home, topology = self._network.directory / speaker.name, self._network.plan.topology.name
        file = AgentFile(speaker.name, topology, speaker.address, home, home / APP_KEYS, Listen(COMMAND, PROBE, GOSSIP))
        servers = [a for pair in self._network.plan.instances(speaker.name).values() for a in pair]
        return file.text(
            table("[speaker]", kind=vendor, asn=speaker.asn, **self._of_the_daemon(speaker, vendor)),
            neighbours(servers),
            *(neighbours([n.address], n.asn, "outward") for n in outward),
        )

    def _of_the_daemon(self, speaker: Speaker, vendor: str) -> dict[str, object]:
        home = self._network.directory / speaker.name
        match vendor:
            case "exabgp":
                return {"address": speaker.address, "hold_time": self._network.hold}
            case "bird":
                return {"control": home / "bird.ctl", "include": BIRD_FILE}
            case _:
                return {"vty": home / "bgpd.vty"}

    # --- what they are sent

    async def ready(self, names: Iterable[str]) -> None:
        """Waits until each has every session that it is configured for. Raises ToolError."""
        end = time.monotonic() + READY_WITHIN
        for name in names:
            while (lacking := await self._lacking(name)) is not None:
                if time.monotonic() > end:
                    raise ToolError(f"the agent of {name} is not ready within {READY_WITHIN:g} s: {lacking}")
                await asyncio.sleep(0.1)

    async def _lacking(self, name: str) -> str | None:
        found = await self._app.status(self._network.plan.topology.name, self._enrolled[name], ANSWER)
        if isinstance(found, Unreachable):
            return found.reason
        down = [str(a) for a, up in (*found.sessions.items(), *found.outward_sessions.items()) if not up]
        return f"no session with {', '.join(down)}" if down or not found.sessions else None

    async def advertise(self, service: Service, frontend: IPv4Address, epoch: int) -> None:
        """Every member: the service's prefixes with the frontend as next hop."""
        for name in service.names:
            await self._order(service, SendAdvertise(name, epoch, 1, wanted(service, frontend)))

    async def outward(self, service: Service, epoch: int, seq: int) -> None:
        """Every member: what it announces to on-premises neighbours in either role."""
        for name in service.names:
            await self._order(service, SendOutward(name, epoch, seq, wanted_outward(service)))

    async def fence(self, service: Service, name: str, epoch: int) -> None:
        await self._order(service, SendFence(name, epoch))

    async def promote(self, service: Service, name: str, epoch: int) -> None:
        topology = self._network.plan.topology.name
        found = await self._app.status(topology, self._enrolled[name], ANSWER)
        if isinstance(found, Unreachable):
            raise ToolError(f"the agent of {name} does not answer: {found.reason}")
        await self._order(service, SendPromote(name, epoch, found.boot_id))

    async def _order(self, service: Service, command: AgentCommand) -> None:
        """Raises ToolError where it is not accepted."""
        topology, speaker = self._network.plan.topology.name, self._enrolled[command.member]
        answer = await self._app.command(topology, speaker, service.name, command, ANSWER)
        if not isinstance(answer.reading, AgentStatus):
            raise ToolError(f"the agent of {command.member} does not answer: {answer.reading.reason}")
        if answer.refused is not None:
            raise ToolError(f"the agent of {command.member} refuses {type(command).__name__}: {answer.refused}")
