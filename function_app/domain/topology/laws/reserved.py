"""Addresses that no topology may use."""

from dataclasses import dataclass
from ipaddress import IPv4Network

# Never an agent or a speaker, whatever the networks say: instance metadata and link-local, the platform's wire server,
# multicast, "this" network, the limited broadcast (safety.md section 8, "where we connect").
FORBIDDEN = tuple(map(IPv4Network, ("0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "240.0.0.0/4")))
LOOPBACK = IPv4Network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the app runs: only a lab on one machine lets topologies use loopback addresses."""

    allow_loopback: bool = False
