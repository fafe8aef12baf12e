"""Every contender by name, in the order of the table. A new one is a class (`mechanism.Mechanism`) and a line here."""

from collections.abc import Callable

from lab.packets.appliances import Appliances, PlainWebServers
from lab.packets.baselines import BgpTimers, Keepalived, ProbeOnly, WatcherLoop
from lab.packets.fabric import WATCH, WATCH2
from lab.packets.hopkeeper import LoadBalancerKind, MemberKind, SelfKind
from lab.packets.mechanism import Mechanism

BOTH = (WATCH, WATCH2)
_MAKERS: tuple[Callable[[], Mechanism], ...] = (
    BgpTimers,
    lambda: ProbeOnly(5, 2, ("silent", "service")),
    lambda: ProbeOnly(5, 1, ("silent",)),
    lambda: Keepalived(1),
    lambda: Keepalived(0.1),
    WatcherLoop,
    SelfKind,
    MemberKind,
    LoadBalancerKind,
    PlainWebServers,
    lambda: PlainWebServers(BOTH),
    lambda: Appliances(BOTH),
    lambda: Appliances(BOTH, silence="PT0S"),
    Appliances,
    lambda: SelfKind("bird"),
    lambda: SelfKind("frr"),
    lambda: MemberKind("bird"),
    lambda: MemberKind("frr"),
    lambda: LoadBalancerKind(10, 10),
    lambda: LoadBalancerKind(60, 60),
    lambda: LoadBalancerKind(speaker="bird"),
    lambda: LoadBalancerKind(speaker="frr"),
)

BY_NAME: dict[str, Callable[[], Mechanism]] = {make().name: make for make in _MAKERS}

ON_REQUEST = frozenset(
    {
        "ours-self-bird",
        "ours-self-frr",
        "ours-member-bird",
        "ours-member-frr",
        "ours-lb-10-10",
        "ours-lb-60-60",
        "ours-lb-bird",
        "ours-lb-frr",
    }
)
"""Played only when they are named: a run takes minutes, or shows what another one shows, too."""
