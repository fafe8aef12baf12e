"""What differs between the kinds of next hop (safety.md section 3): one class for each, in `kinds`.

| `nextHop`      | who announces, and what    | how another member is made to serve                                      |
|----------------|----------------------------|--------------------------------------------------------------------------|
| `loadBalancer` | every member, the frontend | the others are fenced: by their agents (F1), or by adminState Down (F2)  |
| `self`         | every member, itself       | the target's AS path becomes the shortest that may be on the wire        |
| `member`       | route injectors, the holder | the same: one UPDATE that names the target's address                    |

A further kind is its specification in `topology.model`, its class in `kinds` (imported by its `__init__`), its laws, and
its words in `render/templates/_why.j2`.
"""

from abc import ABC, abstractmethod
from functools import singledispatch
from ipaddress import IPv4Address
from typing import ClassVar

from function_app.domain.service.bounds import Bound, Probe
from function_app.domain.service.decision import Decision
from function_app.domain.service.look import Look
from function_app.domain.service.ranked.paths import Rank
from function_app.domain.service.record import Record
from function_app.domain.topology.model import Service, Topology


class NextHopKind(ABC):
    """Stateless: every method is a pure function of what it is given."""

    key: ClassVar[str]
    """Its name under `nextHop` in the topology document."""
    is_ranked: ClassVar[bool] = False
    """Whether lengths of AS paths decide who serves: equal ones would then be used side by side (ECMP)."""
    holder_announces: ClassVar[bool] = False
    """Whether the holder is its own next hop: its peering is the service, and without a session nothing reaches it."""

    # --- routes

    @abstractmethod
    def next_hop(
        self, announcer: IPv4Address | None, holder: IPv4Address | None, frontend: IPv4Address | None
    ) -> IPv4Address | None:
        """The address that this announcer should name while this holder serves; None where that is not known."""

    def length_at_rest(self, service: Service, announcer: str) -> int:
        """Of the AS path that this announcer sends while nothing is under way, its own ASN included."""
        return 1

    # --- an operation, step by step (safety.md section 2)

    @abstractmethod
    def make_way(self, look: Look, target: str) -> Decision:
        """Step 2: what keeps new flows from the others, begun with the operation itself."""

    @abstractmethod
    def prove(self, look: Look, target: str) -> Decision:
        """Steps 2 and 3 while the target is fit: the grant, or what is still missing for its proof.

        Here a kind keeps R2: a target is granted only once no other member can admit new flows. `protocol.grant` decides
        that by acknowledgements and fences, and gives None until then; a kind with another proof checks it itself.
        """

    @abstractmethod
    def confirm(self, look: Look, target: str) -> Decision:
        """Step 6, off the failover path: the target serves; what else must agree before the service is stable."""

    def can_tell(self, look: Look) -> bool:
        """Whether this look could have shown progress: one that did not uses up patience (safety.md section 2b)."""
        return True

    # --- what rides along

    def noted(self, look: Look) -> Record:
        """The record with what this look shows of commands that only this kind sends."""
        return look.record

    def rank(self, look: Look) -> Rank | None:
        """What each announcer may have on the wire, as an operation begins; None where lengths do not matter."""
        return look.record.rank

    def contradicted(self, look: Look) -> str | None:
        """Why the record cannot be the newest that there was, by what only this kind can see."""
        return None

    @abstractmethod
    def announce(self, look: Look, decision: Decision) -> Decision:
        """The decision, with what members are to announce added where that is known and not so yet.

        `SendAdvertise` names addresses (a frontend); `SendPath` names a member, for a look knows no addresses.
        """

    # --- limits

    def has_fence(self, service: Service) -> bool:
        """Whether a fence through Azure stands between its members, which can be rehearsed on a standby."""
        return False

    def bounds(self, service: Service, topology: Topology, probe: Probe) -> tuple[Bound, ...]:
        """The worst case of each way to a failover; empty where nothing is promised."""
        return ()


@singledispatch
def kind_for(specification: object) -> NextHopKind:
    """The kind of one specification under `nextHop`. Each class in `kinds` registers itself."""
    raise TypeError(f"{type(specification).__name__} is no kind of next hop")


def kind_of(service: Service) -> NextHopKind:
    """The kind of a service's next hop."""
    return kind_for(service.next_hop.kind)
