"""The network: namespaces on one bridge, as a virtual network looks to those in it, and what can be broken in it.

Used inside a world (`namespaces.py`): the process that builds it stands in the management node's namespace.
"""

import os
import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Address

CHOSEN_VIP = "HOPKEEPER_LAB_VIP"
"""The environment variable from which every program of a world has the floating address."""
VIP = IPv4Address(os.environ.get(CHOSEN_VIP, "100.64.0.1"))
"""As published later; first it was 10.10.15.15, which lies inside the virtual network's own prefix."""
NVAS = ("nva1", "nva2")
INSTANCES = ("rs1", "rs2")
MGMT, WORKLOAD, CLIENT, WATCH, WATCH2, BALANCER = "mgmt", "wl", "cl", "watch", "watch2", "lb"

# As in Azure's published fast-failover lab (ws1, ws2, lt1, watch1); what it has not, lies where there was room.
ADDRESSES = {
    "nva1": IPv4Address("10.10.0.4"),
    "nva2": IPv4Address("10.10.0.5"),
    WORKLOAD: IPv4Address("10.10.0.6"),
    WATCH: IPv4Address("10.10.0.7"),
    MGMT: IPv4Address("10.10.0.8"),
    WATCH2: IPv4Address("10.10.0.9"),
    BALANCER: IPv4Address("10.10.0.100"),
    "rs1": IPv4Address("10.10.1.4"),
    "rs2": IPv4Address("10.10.1.5"),
    CLIENT: IPv4Address("10.10.3.10"),
}
LENGTH = 16
_SWITCH = "switch"
_ROUTER = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.ip_nonlocal_bind": 1,  # the data path listens on the VIP before, and after, it is this node's
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.eth0.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.eth0.send_redirects": 0,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.eth0.accept_redirects": 0,
    "net.ipv4.conf.all.arp_ignore": 1,  # an address on lo is not answered for on the wire
    "net.ipv4.conf.all.arp_announce": 2,
}


class Fabric:
    """Every method is synchronous and quick; each raises CalledProcessError with the tool's words in `stderr`.

    `addresses` by node, the management node among them: all on one link, of the prefix length `length`.
    """

    def __init__(self, addresses: Mapping[str, IPv4Address] = ADDRESSES, length: int = LENGTH) -> None:
        self.addresses = addresses
        self._length = length

    def up(self) -> None:
        """Builds it: the switch, and every node on it with one interface, eth0."""
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "netns", "add", _SWITCH)
        self.inside(_SWITCH, "ip", "link", "add", "br0", "type", "bridge")
        self.inside(_SWITCH, "ip", "link", "set", "br0", "up")
        for node in self.addresses:
            self._attach(node)
        for node in self.addresses:
            self._know_neighbours(node)
        for line in ("add table bridge faults", "add chain bridge faults f { type filter hook forward priority 0; }"):
            self.inside(_SWITCH, "nft", line)

    def _attach(self, node: str) -> None:
        if node != MGMT:
            _run("ip", "netns", "add", node)
        peer = ("peer", "name", f"v-{node}", "netns", _SWITCH)
        self.inside(node, "ip", "link", "add", "eth0", "address", _mac(self.addresses[node]), "type", "veth", *peer)
        self.inside(node, "ip", "link", "set", "lo", "up")
        self.inside(node, "ip", "address", "add", f"{self.addresses[node]}/{self._length}", "dev", "eth0")
        self.inside(node, "ip", "link", "set", "eth0", "up")
        self.inside(_SWITCH, "ip", "link", "set", f"v-{node}", "master", "br0", "up")
        self.inside(node, "sysctl", "-qw", *(f"{key}={value}" for key, value in _ROUTER.items()))

    def _know_neighbours(self, node: str) -> None:
        """As in Azure, whose fabric answers ARP for everybody, the dead too: silence is silence, never unreachable.

        Otherwise the kernel would tell BGP of a dead neighbour before the hold time does, and packets that wait for ARP
        would fill the sender's buffer.
        """
        others = [address for other, address in self.addresses.items() if other != node]
        lines = "".join(f"neighbour replace {a} lladdr {_mac(a)} nud permanent dev eth0\n" for a in others)
        subprocess.run(
            [*self.enter(node), "ip", "-batch", "-"], input=lines, check=True, capture_output=True, text=True
        )

    def enter(self, node: str) -> tuple[str, ...]:
        """What goes before a command that is to run on `node`."""
        return () if node == MGMT else ("ip", "netns", "exec", node)

    def inside(self, node: str, *argv: str) -> str:
        return _run(*self.enter(node), *argv)

    def hold_vip(self, node: str) -> None:
        self.hold(node, VIP)

    def hold(self, node: str, address: IPv4Address) -> None:
        """Gives `node` the address on lo: it accepts what is routed to it, and answers no ARP for it."""
        self.inside(node, "ip", "address", "replace", f"{address}/32", "dev", "lo")

    def route_vip(self, *hop: str) -> None:
        """The workload's route to the VIP, by hand: `via A` or `dev eth0`."""
        self.inside(WORKLOAD, "ip", "route", "replace", f"{VIP}/32", *hop)

    # --- what can be broken

    def silence(self, node: str) -> None:
        """The node's cable is out: nothing from it, nothing to it."""
        self.inside(_SWITCH, "ip", "link", "set", f"v-{node}", "down")

    def gag(self, node: str) -> None:
        """One-way loss: the node hears everything, and nothing that it sends arrives."""
        self._drop(f'iifname "v-{node}" drop')

    def part(self, one: str, other: str) -> None:
        """Nothing passes between the two, in either direction."""
        self._drop(f'iifname "v-{one}" oifname "v-{other}" drop')
        self._drop(f'iifname "v-{other}" oifname "v-{one}" drop')

    def lose(self, percent: int) -> None:
        """Every IP packet on the switch is lost with this probability, each way."""
        self._drop(f"ether type ip numgen random mod 100 < {percent} drop")

    def mend(self) -> None:
        """Undoes all of them."""
        self.inside(_SWITCH, "nft", "flush chain bridge faults f")
        for node in self.addresses:
            self.inside(_SWITCH, "ip", "link", "set", f"v-{node}", "up")

    def _drop(self, rule: str) -> None:
        self.inside(_SWITCH, "nft", f"add rule bridge faults f {rule}")


def _mac(address: IPv4Address) -> str:
    return "02:00:" + ":".join(f"{octet:02x}" for octet in address.packed)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout
