"""`self`: every member announces its own address, and the holder's AS path is the shortest."""

from ipaddress import IPv4Address

from function_app.domain.service.kind import NextHopKind, kind_for
from function_app.domain.service.ranked.kind import Ranked
from function_app.domain.topology.model import Itself


class ByItself(Ranked):
    """The holder's peering is the service: without a session nothing reaches it."""

    key = "self"
    holder_announces = True

    def next_hop(
        self, announcer: IPv4Address | None, holder: IPv4Address | None, frontend: IPv4Address | None
    ) -> IPv4Address | None:
        return announcer


@kind_for.register
def _(specification: Itself) -> NextHopKind:
    return ByItself()
