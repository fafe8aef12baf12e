"""Hopkeeper as a contender, as users run it: agents on the NVAs, the Function App, records in a storage account.

A kind of next hop is one class: it says what its topology is and what else its world needs; `Ours` has the rest.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import Detection, FencedBy, bounds, ranked_bounds
from function_app.domain.service.bounds import Probe as BoundsProbe
from function_app.domain.topology.peering_names import peering_name
from lab.packets import storage
from lab.packets.agents import CHECK_FALL, CHECK_PERIOD, COMMAND, PROBE, Agents, AgentSetting
from lab.packets.app import App, phases
from lab.packets.balancer import Balancer
from lab.packets.eligibility import Sample, both, spans, two_eligible
from lab.packets.fabric import ADDRESSES, NVAS, VIP, WATCH
from lab.packets.lab import WITHIN, Lab, Traffic
from lab.packets.learned_routes import mirror
from lab.packets.route_servers import Timers
from simulator.seeds import HubSeed, Probe
from tools.processes import ToolError

TOPOLOGY, SERVICE = "lab", "service"
SAMPLE_EVERY = 0.1
PLAYED = ((Detection.SAYS, FencedBy.AGENT), (Detection.SILENT, FencedBy.BALANCER))
"""Which of the product's bounds the faults `service` and `silent` are held to."""
HOLD = Timers(hold=9, keepalive=3)
# What differs from the deployed defaults, and why: no minute of looking on at the start, the agents' real check, and
# no growing pause between automatic failovers, of which a lab has ten in a quarter of an hour.
TIMING = {
    "learnFor": "PT3S",
    "checkPeriod": f"PT{CHECK_PERIOD}S",
    "checkFall": CHECK_FALL,
    "spacingStep": "PT0S",
    "spacingMax": "PT0S",
}


class Ours:
    """What all kinds share. A kind sets `name`, `title`, `faults`, `asns`, and says its part of the topology.

    `asns` are the nodes that speak BGP, with their ASNs: they are peered, and so are in the topology as speakers, as both
    NVAs are in any case, and the `witnesses`. Every one of these has an agent, but those that are `bare`. `speaker` is the daemon
    that the speaking agents have.
    """

    name: str
    title: str
    faults: tuple[str, ...]
    once: tuple[str, ...] = ()
    period = 5.0
    tried_by_loss = False
    asns: Mapping[str, int]
    witnesses: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    watch_seconds = 0.5
    speaker = "exabgp"
    probe = Probe(port=PROBE, path=f"/probe/{SERVICE}")
    management: Mapping[str, float] = {}
    timing: Mapping[str, Any] = TIMING
    fenced_at_rest = 0
    """How many members stand by by their adminState."""
    rests_within = 2 * WITHIN
    """Seconds until everything is verified at rest."""
    _looked = 0.0

    async def set_up(self, lab: Lab) -> None:
        self._lab = lab
        self.balancer = Balancer(lab, self.probe, self._peerings())
        await self.balancer.start_simulator()
        await self.balancer.ask("POST", "/simulator/faults", dict(self.management))
        self._app = App(lab, self.balancer, await storage.start(lab))
        self.nodes = tuple(dict.fromkeys((*NVAS, *self.asns, *self.witnesses)))
        self._with_agent = tuple(node for node in self.nodes if node not in self.bare)
        self.agents = Agents(lab, self._agent_setting())
        await self._app.start()
        await self._app.apply(self._topology())
        await lab.start_data_paths()
        await lab.start_route_servers(self.asns, HOLD)
        self._mirror = asyncio.create_task(mirror(lab, self.balancer))
        await self.prepare()
        self.agents.start(self._with_agent)
        await self._at_rest()
        self._looked = time.monotonic()

    def _agent_setting(self) -> AgentSetting:
        return AgentSetting(
            TOPOLOGY,
            self._app.report_url,
            self._with_agent,
            {node: asn for node, asn in self.asns.items() if node not in self.bare},
            HOLD.hold,
            self.speaker,
            self.witnesses,
            self.bare,
            self.watch_seconds,
        )

    async def prepare(self) -> None:
        """What the kind's world needs besides, before the agents start."""

    def speaking(self, node: str) -> dict[str, Any]:
        """One speaker of the topology document."""
        facts = {
            "name": node,
            "address": str(ADDRESSES[node]),
            "asn": self.asns.get(node, 65001),
            "peersWith": ["rs"] if node in self.asns else [],
        }
        if node in self.witnesses:
            facts["role"] = "witness"
        if node in self._with_agent:
            facts["agent"] = {"port": COMMAND, "certificate": self.agents.certificate(node).read_text()}
        return facts

    def service(self) -> dict[str, Any]:
        """The service's `nextHop` and what goes with it, as in the topology document."""
        raise NotImplementedError

    def violations(self, since: float) -> int:
        """How often an instance had two best next hops after `since`. (That the two differ while an UPDATE has reached
        one of them and not yet the other is the propagation that S1r leaves out.)"""
        return sum(one["most"] > 1 for one in self._lab.programmings(since))

    def start_control(self, node: str) -> None:
        self.agents.start([node])

    async def order(self, holder: str) -> None:
        to = next(node for node in NVAS if node != holder)
        await self._app.ask("POST", f"/topologies/{TOPOLOGY}/services/{SERVICE}/switchover", {"to": to})

    async def cool(self) -> None:
        await self._app.restart()

    async def heal(self) -> None:
        await self._at_rest()

    async def tear_down(self) -> None:
        self._mirror.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._mirror
        await self._app.close()
        await self.balancer.close()

    def holder(self) -> str | None:
        return self._holder

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        found = phases(await self._app.history(TOPOLOGY, SERVICE), struck)
        since, self._looked = self._looked, time.monotonic()
        return {**found, "two_eligible": self.violations(since)}

    # --- Azure, as the simulator has it

    def _peerings(self) -> list[dict[str, Any]]:
        """Peerings that are there already: making them takes Azure 80 s each and is not what is measured."""
        server = HubSeed(backends=()).route_server_id
        return [
            {
                "id": f"{server}/bgpConnections/{peering_name(TOPOLOGY, node)}",
                "properties": {"peerIp": str(ADDRESSES[node]), "peerAsn": asn, "provisioningState": "Succeeded"},
            }
            for node, asn in self.asns.items()
        ]

    def _topology(self) -> dict[str, Any]:
        return {
            "schema": "hopkeeper/v1",
            "name": TOPOLOGY,
            "networks": ["10.10.0.0/16"],
            "routeServers": [{"name": "rs", "id": self.balancer.seed.route_server_id}],
            "speakers": [self.speaking(node) for node in self.nodes],
            "services": [
                {
                    "name": SERVICE,
                    "mode": "active-passive",
                    "prefixes": [f"{VIP}/32"],
                    "members": [{"speaker": node, "priority": 200 - 100 * i} for i, node in enumerate(NVAS)],
                    **self.service(),
                }
            ],
            "timing": dict(self.timing) | self._damping(),
        }

    def _damping(self) -> dict[str, str]:
        """The topology names the platform's damping where the lab has it."""
        return {"damping": f"PT{self._lab.damping:g}S"} if self._lab.damping else {}

    # --- rest

    async def _at_rest(self) -> None:
        """Waits until one member serves, all is verified, nothing is owed and every session is up. Raises ToolError."""
        until = time.monotonic() + self.rests_within
        status: Mapping[str, Any] = {}
        while time.monotonic() < until:
            status = await self._app.ask("GET", f"/status/{TOPOLOGY}")
            rests = at_rest(status, self._with_agent, self.bare, self.fenced_at_rest)
            if rests and self._lab.established() and await self.data_plane_rests(status):
                self._holder = str(status["services"][0]["holder"])
                return
            await asyncio.sleep(0.2)
        raise ToolError(f"not at rest: {status}")

    async def data_plane_rests(self, status: Mapping[str, Any]) -> bool:
        return True


def at_rest(status: Mapping[str, Any], agents: Iterable[str], bare: Iterable[str], fenced: int) -> bool:
    """One holder, verified on both instances, every agent ready, no fence left but so many of the `bare` members: these have no
    agent, and nothing but a fence keeps one from serving."""
    service, last = status["services"][0], status["lastLook"]
    serving = {*service["mayServe"]} - {*bare}
    if service["phase"] != "stable" or not serving <= {service["holder"]} <= {*service["mayServe"]} or last is None:
        return False
    ready = all(last["members"].get(name, {}).get("ready") for name in agents)
    return bool(len(service["owed"]) == fenced and ready and last["routes"]["verified"])


class LoadBalancerKind(Ours):
    """`loadBalancer`: the VIP's next hop is the internal load balancer, whose probe goes to the agents."""

    faults: tuple[str, ...] = ("silent", "service", "frozen", "cut-off")
    once: tuple[str, ...] = ("frozen", "cut-off")
    asns: Mapping[str, int] = {"nva1": 65001, "nva2": 65001}

    def __init__(self, write: float = 3.0, health: float = 1.0, speaker: str = "exabgp") -> None:
        """`write` and `health` are what the management API takes for a pool write and for the health action, seconds."""
        plain = (write, health) == (3.0, 1.0)
        self.speaker = speaker
        self.name = (
            "ours-lb" + ("" if plain else f"-{write:g}-{health:g}") + ("" if speaker == "exabgp" else f"-{speaker}")
        )
        daemon = "" if speaker == "exabgp" else f", {speaker}"
        self.title = f"Hopkeeper, load balancer 5 s x 2, write {write:g} s, health {health:g} s{daemon}"
        self.management = {"pool_write_seconds": write, "health_seconds": health}
        if not plain:  # a fence is a write, a settled data plane, and two health answers; settings must cover them
            fence = int(2 * (write + health) + 30)
            cover = {"observeSlow": f"PT{health + 8:g}S", "fenceTimeout": f"PT{fence}S"}
            self.rests_within += 5 * health  # a slow pass lasts as long as a health answer, and rest takes a few
            self.timing = {**TIMING, **cover, "operationDeadline": f"PT{2 * fence}S"}

    def service(self) -> dict[str, Any]:
        seed = self.balancer.seed
        names = {"frontend": "fe", "backendPool": seed.pool, "probe": "agent"}
        return {"nextHop": {"loadBalancer": {"id": seed.load_balancer_id, **names}}}

    async def prepare(self) -> None:
        await self.balancer.start_forwarding()
        for node in NVAS:
            where = ["--address", str(ADDRESSES[node]), "--port", str(PROBE), "--path", self.probe.path]
            self._lab.start_python("probe_watch", node, [*where, "--out", str(self._watched(node))], "probe-watch")
        self._admitted: dict[str, list[Sample]] = {node: [] for node in NVAS}
        self._sampling = asyncio.create_task(self._sample())

    async def tear_down(self) -> None:
        self._sampling.cancel()
        await super().tear_down()

    def _watched(self, node: str) -> Path:
        return self._lab.directory / f"probe-{node}"

    async def _sample(self) -> None:
        """What the data plane has of adminState; a look that fails is made up for by the next."""
        while True:
            with contextlib.suppress(ToolError, aiohttp.ClientError):
                for node, backend in (await self.balancer.backends()).items():
                    self._admitted[node].append((time.monotonic(), backend["admin_state"] != "Down"))
            await asyncio.sleep(SAMPLE_EVERY)

    def violations(self, since: float) -> int:
        """Times at which two members were eligible: the agent's probe says 200 and adminState is not Down."""
        eligible = {}
        for node in NVAS:
            lines = (line.split() for line in self._watched(node).read_text().splitlines(keepends=True) if "\n" in line)
            answered = [(float(at), value == "1") for at, value in lines if float(at) > since]
            eligible[node] = both(spans(answered), spans(s for s in self._admitted[node] if s[0] > since))
        return len(two_eligible(eligible))

    async def data_plane_rests(self, status: Mapping[str, Any]) -> bool:
        holder = status["services"][0]["holder"]
        backends = await self.balancer.backends()
        up = [name for name, backend in backends.items() if backend["probed_up"]]
        return up == [holder] and all(backend["admin_state"] == "None" for backend in backends.values())

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        timing = msgspec.convert(dict(self.timing), Timing)
        worst = {
            bound.detection.name.lower(): bound.total.total_seconds()
            for bound in bounds(timing, BoundsProbe())
            if (bound.detection, bound.fence) in PLAYED
        }
        return {**await super().measured(struck, traffic), "bounds_seconds": worst}


class Ranked(Ours):
    """The ranked kinds: the VIP is on both NVAs, and the best path says whose it is."""

    faults: tuple[str, ...] = ("silent", "killed", "silent-cold", "service", "frozen", "cut-off")
    once: tuple[str, ...] = ("silent-cold", "service", "frozen", "cut-off")
    tried_by_loss = True
    # The hold time that the daemons negotiate here, and a Route Server that does not damp unless configured so.
    timing: Mapping[str, Any] = {**TIMING, "bgpHold": f"PT{HOLD.hold}S", "damping": "PT1S"}

    def __init__(self, speaker: str = "exabgp") -> None:
        self.speaker = speaker
        daemon = "" if speaker == "exabgp" else f"-{speaker}"
        self.name, self.title = f"{self.name}{daemon}", f"{self.title}, {speaker}"
        if daemon:
            self.faults, self.once, self.tried_by_loss = ("silent",), (), False

    async def prepare(self) -> None:
        for node in NVAS:
            self._lab.fabric.hold_vip(node)

    async def data_plane_rests(self, status: Mapping[str, Any]) -> bool:
        """The AS paths too: a failover takes one step of headroom, which comes back when all is at rest."""
        hops = self._lab.workload_hops()
        seen = status["lastLook"]["services"][SERVICE]["outcome"]
        holder = str(ADDRESSES[status["services"][0]["holder"]])
        return bool(seen == "converged" and f"via {holder} " in hops and "nexthop" not in hops)

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        timing = msgspec.convert(dict(self.timing), Timing)
        worst = {b.detection.name.lower(): b.total.total_seconds() for b in ranked_bounds(timing)}
        return {**await super().measured(struck, traffic), "bounds_seconds": worst}


class SelfKind(Ranked):
    """`self`: both NVAs announce themselves, the holder with the shorter path."""

    name = "ours-self"
    title = "Hopkeeper, self"
    asns: Mapping[str, int] = {"nva1": 65001, "nva2": 65001}

    def service(self) -> dict[str, Any]:
        return {"nextHop": {"self": {}}}


class MemberKind(Ranked):
    """`member`: a route injector on the watcher's machine names the holder, as in the fast-failover lab."""

    name = "ours-member"
    title = "Hopkeeper, member"
    asns: Mapping[str, int] = {WATCH: 65001}

    def service(self) -> dict[str, Any]:
        return {"nextHop": {"member": {"announcers": [WATCH]}}}
