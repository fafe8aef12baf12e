"""The times that the simulated Azure goes by, and how sure each is: the words are those of Azure's facts (docs)."""

from proving.gameday.acts import FREEZE_SECONDS
from proving.gameday.document import Pace
from proving.gameday.flows import DAMPING_SECONDS, PROGRAMMING_SECONDS
from proving.stories.prober import INTERVAL_SECONDS, THRESHOLD
from proving.stories.stage import EVENT_SECONDS
from simulator.faults import Faults
from simulator.state import PEERING_WAITS

GUESS = "open"
PACES = tuple(
    Pace(what=what, value=value, section=section, sure=sure)
    for what, value, section, sure in (
        ("probe of a load balancer", f"{INTERVAL_SECONDS:g} s x {THRESHOLD}, both ways", "3", "documented"),
        ("write of a backend pool", f"{Faults().pool_write_seconds:g} s", "", GUESS),
        ("from that write to where packets go", f"{Faults().propagation:g} s", "", GUESS),
        ("answer of a rule's health action", f"{Faults().health_seconds:g} s", "", GUESS),
        ("create or delete of a peering", f"{sum(PEERING_WAITS):g} s", "1", "recorded"),
        (
            "programming of one UPDATE",
            "{:g} to {:g} s, one drawn for each fault".format(*PROGRAMMING_SECONDS),
            "2",
            "lab",
        ),
        ("damping of a prefix", f"{DAMPING_SECONDS:g} s", "2", "lab"),
        ("hold time", "the topology's bgpHold, 180 s by default", "2", "documented"),
        ("freeze of a machine", f"{FREEZE_SECONDS:g} s", "3", "documented"),
        ("from a write in Azure to its event", f"{EVENT_SECONDS:g} s", "", GUESS),
    )
)
"""A test looks the sections up. `open`: a guess of ours, to be measured in Azure."""
