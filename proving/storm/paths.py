"""The paths of a failover that `bounds` publishes, and the faults of a holder that lead over each (law L8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from function_app.domain.base.timing import Timing
from function_app.domain.service.bounds import Detection, FencedBy, Probe, WithAgent, bounds
from proving.storm.faults import Fault, Kind

FOR_EVER = 1e9
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Path:
    """What befalls the holder, as (kind, how), or that it is ordered; and how `bounds` names what follows."""

    faults: tuple[tuple[Kind, str], ...]
    detection: Detection
    fence: FencedBy

    def befalls(self, holder: str, other: str) -> tuple[Fault, ...]:
        if self.detection is Detection.ORDERED:
            return (Fault(0.0, Kind.ORDER, other, how="switchover"),)
        return tuple(Fault(0.0, kind, holder, FOR_EVER, how) for kind, how in self.faults)

    def bound(self, timing: Timing, agents: WithAgent) -> timedelta:
        """From the fault until the load balancer admits another member."""
        mine, found = (self.detection, self.fence), bounds(timing, Probe(), agents=agents)
        return next(bound.total for bound in found if (bound.detection, bound.fence) == mine)


PATHS: Mapping[str, Path] = {
    "silent": Path(((Kind.CRASH, ""),), Detection.SILENT, FencedBy.BALANCER),
    "isolated": Path(
        ((Kind.CUT, "both"), (Kind.SPLIT, "both"), (Kind.UNPROBED, "")), Detection.SILENT, FencedBy.BALANCER
    ),
    "says": Path(((Kind.FATAL, ""),), Detection.SAYS, FencedBy.AGENT),
    "probe": Path(((Kind.UNPROBED, ""),), Detection.PROBE, FencedBy.AGENT),
    "alone": Path(((Kind.UNPROBED, ""), (Kind.CUT, "both")), Detection.PROBE_ALONE, FencedBy.BALANCER),
    "ordered": Path((), Detection.ORDERED, FencedBy.AGENT),
}
