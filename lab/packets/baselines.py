"""What users have today, as contenders: BGP's timers alone, a probing load balancer, keepalived, a watcher loop."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.packets.balancer import Balancer
from lab.packets.data_path import HEALTH
from lab.packets.fabric import ADDRESSES, BALANCER, INSTANCES, NVAS, VIP, WATCH
from lab.packets.lab import Lab, Traffic, until
from lab.packets.mechanism import Plain
from lab.packets.readings import moves
from lab.packets.route_servers import ASN, Announced, Timers, announcer
from simulator.seeds import Probe

PREFIX = f"{VIP}/32"


class BgpTimers(Plain):
    """Both NVAs announce the VIP with BIRD, the second with a longer path; the hold time is the only detector."""

    name = "bgp-9"
    title = "BGP timers alone, hold 9 s"
    faults: tuple[str, ...] = ("silent", "killed")
    period = 3.0
    timers = Timers(hold=9, keepalive=3)
    asns: Mapping[str, int] = {"nva1": 65001, "nva2": 65002}

    async def set_up(self, lab: Lab) -> None:
        self._lab = lab
        for node in NVAS:
            lab.fabric.hold_vip(node)
        await lab.start_data_paths()
        await lab.start_route_servers(self.asns, self.timers)
        for node in NVAS:
            self.start_control(node)
        await self._at_rest()

    def start_control(self, node: str) -> None:
        text = announcer(node, self.asns[node], Announced(PREFIX, 2 * NVAS.index(node)), self.timers)
        self._lab.start_bird(node, text, f"{node}/control")

    async def heal(self) -> None:
        await self._at_rest()

    async def _at_rest(self) -> None:
        first, second = (str(ADDRESSES[node]) for node in NVAS)

        def preferred() -> bool:
            hops = self._lab.workload_hops()
            return self._lab.established() and first in hops and second not in hops

        await until("all sessions up and the first NVA's route alone in the workload", preferred)


class ProbeOnly(Plain):
    """An internal load balancer whose probe goes to the service itself, both NVAs in its pool, and nothing else."""

    period = 5.0

    def __init__(self, interval: int, threshold: int, faults: tuple[str, ...]) -> None:
        self.name = f"probe-{interval}x{threshold}"
        self.title = f"load balancer's probe alone, {interval} s x {threshold}"
        self.faults = faults
        self._probe = Probe(port=HEALTH, path="/", interval_seconds=interval, threshold=threshold)

    async def set_up(self, lab: Lab) -> None:
        self._lab = lab
        await lab.start_data_paths()
        self._balancer = Balancer(lab, self._probe)
        await self._balancer.start()
        lab.fabric.route_vip("via", str(ADDRESSES[BALANCER]))
        await self._balancer.probed_up(NVAS)

    async def heal(self) -> None:
        await self._balancer.probed_up(NVAS)

    async def tear_down(self) -> None:
        await self._balancer.close()


class Keepalived(Plain):
    """VRRP between the NVAs: possible on a bridge, not in Azure, which has no multicast and no gratuitous ARP."""

    def __init__(self, advert: float) -> None:
        self.name = f"keepalived-{advert:g}"
        self.title = f"keepalived, advert {advert:g} s (not possible in Azure)"
        self.faults: tuple[str, ...] = ("silent", "killed")
        self.period = advert
        self._advert = advert

    async def set_up(self, lab: Lab) -> None:
        self._lab = lab
        await lab.start_data_paths()
        for node in NVAS:
            self.start_control(node)
            await asyncio.sleep(self._settle)
        lab.fabric.route_vip("dev", "eth0")

    @property
    def _settle(self) -> float:
        """Until every machine has taken its role: VRRP's master-down interval is below four adverts."""
        return 4 * self._advert + 1

    def start_control(self, node: str) -> None:
        config = self._lab.directory / f"{node}.keepalived.conf"
        config.write_text(keepalived(node, self._advert))
        pids = [str(self._lab.directory / f"{node}.keepalived{which}.pid") for which in ("", "-vrrp", "-check")]
        for pid in pids:
            Path(pid).unlink(missing_ok=True)  # of one that was killed
        argv = ["keepalived", "-n", "-l", "-P", "-f", str(config), "-p", pids[0], "-r", pids[1], "-c", pids[2]]
        self._lab.start(f"keepalived-{node}", node, argv, f"{node}/control")

    async def heal(self) -> None:
        await asyncio.sleep(self._settle)


def keepalived(node: str, advert: float) -> str:
    """keepalived.conf: no node preempts, so that each run's holder stays what it is."""
    return f"""\
global_defs {{
    router_id {node}
    vrrp_version 3
}}
vrrp_instance service {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 51
    priority {150 - 50 * NVAS.index(node)}
    advert_int {advert:g}
    virtual_ipaddress {{
        {VIP}/32 dev eth0
    }}
}}
"""


class WatcherLoop(Plain):
    """One watcher that announces the VIP with the next hop of the web server that answers: `watcher.py` in ExaBGP."""

    name = "watcher"
    title = "watcher loop, HTTP 0.1 s every 0.1 s, one machine"
    faults: tuple[str, ...] = ("silent", "killed", "service")
    period = 0.4
    tried_by_loss = True
    asn = 65001

    async def set_up(self, lab: Lab) -> None:
        self._lab = lab
        self._log = lab.directory / "watcher.announced"
        for node in NVAS:
            lab.fabric.hold_vip(node)
        await lab.start_data_paths()
        await lab.start_route_servers({WATCH: self.asn}, Timers())
        helper = ["-m", "lab.packets.watcher", "--prefix", PREFIX, "--log", str(self._log)]
        servers = ["--servers", *(str(ADDRESSES[node]) for node in NVAS)]
        config = lab.directory / "watcher.exabgp.conf"
        config.write_text(exabgp(self.asn, [sys.executable, *helper, *servers]))
        argv = [str(Path(sys.executable).with_name("exabgp")), "server", str(config)]
        lab.start("exabgp-watch", WATCH, argv, WATCH, EXABGP)
        await self._at_rest()

    async def heal(self) -> None:
        await self._at_rest()

    async def measured(self, struck: float, traffic: Traffic) -> Mapping[str, Any]:
        announced = [float(line.split()[0]) for line in self._log.read_text().splitlines()]
        first = next((at for at in announced if at > struck), None)
        return {"announced": None if first is None else round(first - struck, 4), "moves": moves(traffic.replies())}

    async def _at_rest(self) -> None:
        def primary() -> bool:
            return self._lab.established() and str(ADDRESSES[NVAS[0]]) in self._lab.workload_hops()

        await until("the watcher announces its primary", primary)


EXABGP = {
    "exabgp.api.ack": "false",
    "exabgp.api.cli": "false",
    "exabgp.daemon.drop": "false",
    # ExaBGP changes to this user even so, and could not read Python any more.
    "exabgp.daemon.user": "root",
    "exabgp.log.level": "WARNING",
    "exabgp.tcp.port": "179",
    "PYTHONPATH": os.getcwd(),
}


def exabgp(asn: int, helper: list[str]) -> str:
    """ExaBGP's configuration on the watcher's machine, with a session to each instance."""
    own = ADDRESSES[WATCH]
    return f"process watcher {{ run {' '.join(helper)}; encoder text; }}\n" + "".join(
        f"neighbor {ADDRESSES[instance]} {{ router-id {own}; local-address {own}; local-as {asn}; peer-as {ASN}; "
        "hold-time 180; capability { graceful-restart disable; } family { ipv4 unicast; } "
        "api { processes [ watcher ]; } }\n"
        for instance in INSTANCES
    )
