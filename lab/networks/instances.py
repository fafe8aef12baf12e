"""The two instances of a Route Server, as BIRD's configuration. Text only.

AS 65515; next hops as received; the virtual network's own prefix and what one peer announces go to all others, as on Azure;
equal paths side by side in the kernel's table, from which workloads are programmed. A path that holds 65515 is dropped by
BIRD itself, as by any BGP speaker that finds its own AS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.kit import bird
from lab.networks.learned import Peer
from lab.packets.route_servers import ASN


@dataclass(frozen=True, slots=True)
class Instances:
    """One Route Server: its name in the topology, where its instances are, the prefix that it advertises."""

    name: str
    addresses: tuple[IPv4Address, IPv4Address]
    network: IPv4Network

    @property
    def nodes(self) -> dict[str, IPv4Address]:
        return {f"{self.name}-{number}": address for number, address in enumerate(self.addresses)}


def configuration(own: IPv4Address, network: IPv4Network, peers: Sequence[Peer], hold: int) -> str:
    """`hold` in seconds."""
    network_part = f'protocol static network {{ ipv4; route {network} via "eth0"; }}\n'
    channel = 'import all; export where source = RTS_BGP || proto = "network";'
    timers = bird.hold(hold, startup=True)
    return bird.head(own, bird.LINK, network_part, bird.TO_KERNEL) + "".join(
        bird.session(peer.protocol, (own, ASN), (peer.address, peer.asn), timers, channel) for peer in peers
    )


def gateway(own: IPv4Address, behind: IPv4Network, path: Sequence[int], server: Instances) -> str:
    """What stands for an ExpressRoute gateway: `behind` with the AS path `path`, announced to its Route Server within AS 65515.

    What it learns goes to its kernel, and it forwards to whoever is named as next hop; its own network it knows better.
    """
    prepends = "".join(f" bgp_path.prepend({asn});" for asn in reversed(path))
    static = f"protocol static behind {{ ipv4; route {behind} unreachable; }}\n"
    channel = (
        f"import where net != {server.network};\n"
        f'    export filter {{ if proto != "behind" then reject;{prepends} accept; }};'
    )
    return bird.head(own, bird.LINK, static, bird.TO_KERNEL) + "".join(
        bird.session(f"instance_{number}", (own, ASN), (address, ASN), "", channel)
        for number, address in enumerate(server.addresses)
    )


def on_premises(own: IPv4Address, asn: int, peers: Sequence[Peer], hold: int) -> str:
    """A router beyond the NVAs: learns from them how to come back, equal paths side by side."""
    return bird.head(own, bird.LINK, bird.TO_KERNEL) + sessions(own, asn, peers, hold)


def sessions(own: IPv4Address, asn: int, peers: Sequence[Peer], hold: int) -> str:
    """A router's sessions: it takes every route and announces none."""
    timers, channel = bird.hold(hold), "import all; export none;"
    return "".join(bird.session(peer.protocol, (own, asn), (peer.address, peer.asn), timers, channel) for peer in peers)
