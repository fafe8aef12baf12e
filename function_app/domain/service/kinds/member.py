"""`member`: route injectors announce the address of the holder; they carry no traffic themselves."""

from ipaddress import IPv4Address

from function_app.domain.service.kind import NextHopKind, kind_for
from function_app.domain.service.ranked.kind import Ranked
from function_app.domain.topology.model import Injectors


class ByInjectors(Ranked):
    """One UPDATE that replaces the next hop moves the service."""

    key = "member"

    def next_hop(
        self, announcer: IPv4Address | None, holder: IPv4Address | None, frontend: IPv4Address | None
    ) -> IPv4Address | None:
        return holder


@kind_for.register
def _(specification: Injectors) -> NextHopKind:
    return ByInjectors()
