"""What a topology implies for the configuration of one speaker's agent (`nva_agent/agent.example.toml`). Pure.

Not here: what only the machine knows. Its place stands in the text, as a comment.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from function_app.domain.base.timing import Timing
from function_app.domain.topology.model import Neighbour, Speaker, Topology

PROBE = 8080
"""Where an agent answers the probe, unless the topology says otherwise: its own default."""


@dataclass(frozen=True, slots=True)
class AgentFile:
    """Everything about the agent beside its BGP. `watched` is members without an agent, `outward` neighbours on-premises, by
    address; `probed` is where load balancers probe the speaker, but for the agent's address."""

    peers: tuple[Speaker, ...]
    probed: tuple[IPv4Address, ...]
    watched: tuple[Speaker, ...]
    outward: tuple[Neighbour, ...]
    serves: bool
    machine: str | None
    timing: Timing
    probe: int = PROBE


def agent_file(topology: Topology, speaker: Speaker) -> AgentFile:
    """Peers are the other agents that the app commands: each may be the one that notices that another is silent."""
    others = (s for s in topology.speakers if s.name in topology.commanded and s.name != speaker.name)
    return AgentFile(
        peers=tuple(s for s in others if s.agent is not None),
        probed=_probed(topology, speaker),
        watched=tuple(s for s in topology.speakers if s.name in topology.appliances),
        outward=_outward(topology, speaker),
        serves=any(speaker.name in service.names for service in topology.services),
        machine=speaker.vm.rpartition("/")[2] if speaker.vm else None,
        timing=topology.timing,
    )


def _probed(topology: Topology, speaker: Speaker) -> tuple[IPv4Address, ...]:
    """A load balancer probes the address that it sends flows to."""
    mine = (s.load_balancer for s in topology.services if s.load_balancer is not None and speaker.name in s.names)
    addresses = {pool.known(speaker).address for balancer in mine for pool in balancer.pools}
    return tuple(sorted(addresses - {speaker.agent_address}))


def _outward(topology: Topology, speaker: Speaker) -> tuple[Neighbour, ...]:
    """Each once; laws see to it that one address has one ASN."""
    announced = (s.outward for s in topology.services if s.outward is not None and speaker.name in s.names)
    by_address = {each.address: each for outward in announced for each in outward.neighbours}
    return tuple(by_address[address] for address in sorted(by_address))
