"""Hopkeeper and NVAs on which no agent runs: behind a load balancer, and as the web servers of the fast-failover lab.

What shows a silent one is the load balancer's probe, and where there are any, the witnesses or announcers that watch it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import Probe as BoundsProbe
from function_app.domain.service.bounds import WithAgent, bounds, ranked_bounds
from lab.packets.data_path import HEALTH
from lab.packets.fabric import ADDRESSES, BALANCER, NVAS, VIP, WATCH
from lab.packets.hopkeeper import HOLD, TIMING, LoadBalancerKind, MemberKind, Ours, Ranked
from lab.packets.lab import Traffic
from lab.packets.route_servers import Announced, announcer
from simulator.seeds import Probe


class Appliances(LoadBalancerKind):
    """Both NVAs without an agent: their own BIRD announces the VIP with the frontend as next hop, their own service answers the
    probe, and `adminState` alone says who serves. With two witnesses, or none."""

    faults: tuple[str, ...] = ("silent", "planned")
    once: tuple[str, ...] = ()
    bare = NVAS
    tried_by_loss = True
    fenced_at_rest = 1
    probe = Probe(port=HEALTH, path="/")

    def __init__(self, witnesses: tuple[str, ...] = (), silence: str = "PT2S") -> None:
        super().__init__()
        at_once = silence == "PT0S"
        self.witnesses = witnesses
        self.timing = {**TIMING, "silence": silence, "checkPeriod": f"PT{self.watch_seconds}S"}
        self.name = "ours-appliances" + ("-witnessed" if witnesses else "") + ("-at-once" if at_once else "")
        watched = f"{len(witnesses)} witnesses" if witnesses else "no witness"
        self.title = f"Hopkeeper, no agents, {watched}, write 3 s, health 1 s{', silence 0' if at_once else ''}"

    async def prepare(self) -> None:
        await super().prepare()
        for node in NVAS:
            self.start_control(node)

    def start_control(self, node: str) -> None:
        announced = Announced(f"{VIP}/32", next_hop=ADDRESSES[BALANCER])
        text = announcer(node, self.asns[node], announced, HOLD)
        self._lab.start_bird(node, text, f"{node}/control")

    async def data_plane_rests(self, status: Mapping[str, Any]) -> bool:
        holder = status["services"][0]["holder"]
        backends = await self.balancer.backends()
        states = {name: backend["admin_state"] for name, backend in backends.items()}
        expected = {node: "None" if node == holder else "Down" for node in NVAS}
        return states == expected and all(backend["probed_up"] for backend in backends.values())

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        """`two_eligible` counts the moments at which the load balancer gave new flows to both, by its own log, too."""
        timing = msgspec.convert(dict(self.timing), Timing)
        worst = {
            b.detection.name.lower(): b.total.total_seconds()
            for b in bounds(timing, BoundsProbe(), agents=WithAgent.NONE)
        }
        admitted = self.balancer.admitted(struck)
        found = dict(await Ours.measured(self, struck, traffic))
        found["two_eligible"] += sum(len(who) > 1 for _, who in admitted)
        return {**found, "bounds_seconds": worst, "admitted": admitted, "calls": await self.balancer.calls(struck)}


class PlainWebServers(MemberKind):
    """The fast-failover lab as published: two plain web servers without agents, and one watcher that requests their pages and
    announces the one that answers; or two such watchers, which must agree."""

    bare = NVAS
    watch_seconds = 0.3
    faults: tuple[str, ...] = ("silent", "killed", "service", "planned")
    once: tuple[str, ...] = ()

    def __init__(self, watchers: tuple[str, ...] = (WATCH,)) -> None:
        super().__init__()
        self.name = "ours-web" if len(watchers) == 1 else "ours-web-two"
        self.title = f"Hopkeeper, web servers without agents, {len(watchers)} watcher{'s' * (len(watchers) > 1)}"
        self.asns = {node: 65001 + i for i, node in enumerate(watchers)}
        self.timing = {**Ranked.timing, "checkPeriod": f"PT{self.watch_seconds}S"}

    def service(self) -> dict[str, Any]:
        return {"nextHop": {"member": {"announcers": list(self.asns)}}}

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        timing = msgspec.convert(dict(self.timing), Timing)
        worst = {b.detection.name.lower(): b.total.total_seconds() for b in ranked_bounds(timing, WithAgent.NONE)}
        return {**await Ours.measured(self, struck, traffic), "bounds_seconds": worst}

    def start_control(self, node: str) -> None:
        return  # a web server is its data path, which the world starts
