"""What the comparison of routes with the topology found: a kind, and a sentence for people. For the status and
`hopkeeper verify`.

Evidence only: no decision, guard or step reads a finding, and no peering is touched because of one.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network


class FindingKind(StrEnum):
    """What is not as the topology implies."""

    # Learned routes, from the peer's side.
    MISSING = "missing"
    ONE_INSTANCE = "one-instance"
    NEXT_HOP = "next-hop"
    AS_PATH = "as-path"
    PATH_LENGTH = "path-length"
    LOOP = "loop"
    EXTRA = "extra"
    DROPPED = "dropped"
    # Hub speakers.
    HUB_NEXT_HOP = "hub-next-hop"
    HUB_LACKS_CLIENT = "hub-lacks-client"
    ONE_HUB = "one-hub"
    # Advertised routes, towards the peer.
    ADVERTISED_DIFFERS = "advertised-differs"
    NOT_ADVERTISED = "not-advertised"
    COMES_BACK = "comes-back"
    # Effective routes of a network interface.
    NOT_EFFECTIVE = "not-effective"
    EFFECTIVE_NEXT_HOP = "effective-next-hop"
    OVERRIDDEN = "overridden"
    # Network peerings and Route Server flags.
    NETWORK_FLAG = "network-flag"
    NETWORK_STATE = "network-state"
    GATEWAY_PREFERRED = "gateway-preferred"


@dataclass(frozen=True, slots=True)
class RouteFinding:
    """One thing that is not as the topology implies, of routes or of a flag that decides which routes are exchanged.

    `where` names the Route Server, network peering or interface. `wrong` is False for what is only worth knowing: it
    fails no verification.
    """

    kind: FindingKind
    where: str
    sentence: str
    wrong: bool = True
    speaker: str | None = None
    service: str | None = None
    prefix: IPv4Network | None = None
