"""The BGP daemons that our agents drive, each configured as its operator would, and the agent's section for it.

ExaBGP is started by the agent itself; BIRD and FRR run beside it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from hopkeeper_agent.speakers.bird_text import FILTER, TABLE, render

from lab.kit import bird
from lab.kit.agent_toml import neighbours, table
from lab.packets.fabric import ADDRESSES, INSTANCES
from lab.packets.lab import Lab
from lab.packets.route_servers import ASN

BGPD = Path("/usr/lib/frr/bgpd")
_PEERS = tuple(ADDRESSES[instance] for instance in INSTANCES)
_NEIGHBOURS = neighbours(_PEERS)


@dataclass(frozen=True, slots=True)
class Speaking:
    """One node that speaks: where its files are, its ASN, the hold time in seconds that it proposes."""

    node: str
    home: Path
    asn: int
    hold: int

    @property
    def address(self) -> IPv4Address:
        return ADDRESSES[self.node]


class Daemon(Protocol):
    kind: str
    missing: str | None

    def start(self, lab: Lab, speaking: Speaking) -> None:
        """Starts it; when it was killed, again."""

    def section(self, speaking: Speaking) -> str:
        """The agent's `[speaker]`."""


class ExaBgp:
    kind = "exabgp"
    missing: str | None = None

    def start(self, lab: Lab, speaking: Speaking) -> None:
        return

    def section(self, speaking: Speaking) -> str:
        facts = {"address": speaking.address, "asn": speaking.asn, "hold_time": speaking.hold}
        return table("[speaker]", kind="exabgp", **facts) + _NEIGHBOURS


class Bird:
    kind = "bird"
    missing: str | None = None  # the Route Server is BIRD: without it there is no lab

    def start(self, lab: Lab, speaking: Speaking) -> None:
        include = self._include(speaking)
        if not include.exists():
            include.write_text(render({}, speaking.asn, ()))
        lab.start_bird(speaking.node, self._configuration(speaking), f"{speaking.node}/control")

    def section(self, speaking: Speaking) -> str:
        control = speaking.home.parent / f"{speaking.node}.ctl"
        facts = {"asn": speaking.asn, "control": control, "include": self._include(speaking)}
        return table("[speaker]", kind="bird", **facts) + _NEIGHBOURS

    def _include(self, speaking: Speaking) -> Path:
        return speaking.home / "hopkeeper.bird.conf"

    def _configuration(self, speaking: Speaking) -> str:
        include = f'include "{self._include(speaking)}";\n'
        return bird.head(speaking.address, include) + "".join(
            bird.session(
                instance,
                (speaking.address, speaking.asn),
                (ADDRESSES[instance], ASN),
                bird.hold(speaking.hold),
                f"table {TABLE}; import none; export filter {FILTER};",
            )
            for instance in INSTANCES
        )


class Frr:
    """bgpd alone: an NVA's VIPs are in no routing table, and the Route Server's routes are not wanted."""

    kind = "frr"
    missing = None if BGPD.exists() else "Debian package frr"

    def start(self, lab: Lab, speaking: Speaking) -> None:
        folder = speaking.home / "frr"
        folder.mkdir(exist_ok=True)
        config = folder / "bgpd.conf"
        config.write_text(self._configuration(speaking))
        files = ["-f", str(config), "-i", str(folder / "pid"), "--vty_socket", str(folder), "-z", str(folder / "zserv")]
        argv = [str(BGPD), "-S", "-Z", "-P", "0", "--log", f"file:{folder / 'log'}", *files]
        lab.start(f"bgpd-{speaking.node}", speaking.node, argv, f"{speaking.node}/control")

    def section(self, speaking: Speaking) -> str:
        vty = speaking.home / "frr" / "bgpd.vty"
        return table("[speaker]", kind="frr", asn=speaking.asn, vty=vty) + _NEIGHBOURS

    def _configuration(self, speaking: Speaking) -> str:
        keepalive = speaking.hold // 3
        session = "".join(
            f" neighbor {peer} remote-as {ASN}\n neighbor {peer} ebgp-multihop 255\n"
            f" neighbor {peer} timers {keepalive} {speaking.hold}\n neighbor {peer} timers connect 1\n"
            for peer in _PEERS
        )
        policy = "".join(
            f"  neighbor {peer} filter-list own-routes out\n  neighbor {peer} attribute-unchanged next-hop\n"
            for peer in _PEERS
        )
        return (
            f"frr defaults traditional\nhostname {speaking.node}\n"
            f"bgp as-path access-list own-routes seq 5 permit ^({speaking.asn} ?)*$\n"
            f"router bgp {speaking.asn}\n bgp router-id {speaking.address}\n no bgp ebgp-requires-policy\n"
            f" bgp graceful-restart-disable\n no bgp network import-check\n{session}"
            f" address-family ipv4 unicast\n{policy} exit-address-family\n"
        )


DAEMONS: dict[str, Daemon] = {daemon.kind: daemon for daemon in (ExaBgp(), Bird(), Frr())}
