"""Every case, by the name of its example. Choosing and listing only."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from msgspec.structs import replace

from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from lab.networks.active_active import ACTIVE_ACTIVE_FRONTEND
from lab.networks.brownfield import BROWNFIELD
from lab.networks.brownfield import EXAMPLE as OF_BROWNFIELD
from lab.networks.dual_homed import ACTIVE_ACTIVE, ACTIVE_PASSIVE
from lab.networks.expressroute import EXPRESSROUTE
from lab.networks.findings import Findings
from lab.networks.hubs import NVA_AS_HUB, TEN_NVAS
from lab.networks.network import Network, Order, Plan
from lab.networks.outward import OUTWARD
from lab.networks.rendered import (
    ACTIVE_PASSIVE_FRONTEND,
    APPLIANCES,
    APPLIANCES_SANDWICH,
    AS_PATH,
    INJECTOR,
    MIXED,
    SANDWICH,
    WATCHED,
    WEB_SERVERS,
)
from lab.networks.scale_set import SCALE_SET
from lab.stack import ROOT


class Case(Protocol):
    """Played on its example. `hold` replaces the topology's hold time, in seconds; None leaves it."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def hold(self) -> int | None: ...

    def plan(self, topology: Topology) -> Plan:
        """Where everything is."""

    async def play(self, network: Network, order: Order, findings: Findings) -> None:
        """Starts the speakers, looks, breaks, counts."""


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        TEN_NVAS,
        NVA_AS_HUB,
        ACTIVE_ACTIVE,
        ACTIVE_PASSIVE,
        EXPRESSROUTE,
        OUTWARD,
        BROWNFIELD,
        ACTIVE_ACTIVE_FRONTEND,
        SCALE_SET,
        ACTIVE_PASSIVE_FRONTEND,
        SANDWICH,
        APPLIANCES,
        WATCHED,
        APPLIANCES_SANDWICH,
        MIXED,
        AS_PATH,
        INJECTOR,
        WEB_SERVERS,
    )
}
"""The long ones first: they are played two at a time."""


EXAMPLES: Mapping[str, str] = {name: name for name in CASES} | {BROWNFIELD.name: OF_BROWNFIELD}
"""The example that a case is played on: that of its name, but for the walk."""


def topology(case: Case) -> Topology:
    """Its example, decoded, with the case's hold time."""
    decoded = decode((ROOT / "examples" / f"{EXAMPLES[case.name]}.yaml").read_text(), Place())
    if case.hold is None:
        return decoded
    return replace(decoded, timing=replace(decoded.timing, bgp_hold=timedelta(seconds=case.hold)))
