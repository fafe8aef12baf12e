"""Verification by hand: the same questions and comparisons as a slow pass, asked until all are answered. Changes nothing.

What was asked is shared with the passes (`questions`): an answer of theirs is used while it is good, ours serve them.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from function_app.domain.routes.findings import RouteFinding
from function_app.domain.topology.model import Topology
from function_app.reconcile import observe
from function_app.reconcile.networks import Networks, keep_networks
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.ports import Ports
from function_app.reconcile.routes.verification import Verification
from function_app.reconcile.routes.verify import Basis, hidden_instances, next_hops, verify
from function_app.reconcile.store.records import Records


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was found, and why something could not be."""

    verification: Verification
    networks: Networks
    good_from: datetime
    """Answers to older questions count as none."""
    unread: tuple[str, ...]

    @property
    def findings(self) -> tuple[RouteFinding, ...]:
        """What is wrong first."""
        found = (*self.verification.findings, *self.networks.findings)
        return tuple(sorted(found, key=lambda f: not f.wrong))

    @property
    def sound(self) -> bool:
        """Everything was asked and answered, and nothing is wrong."""
        known = not self.unread and not self.unanswered
        return known and not any(f.wrong for f in self.findings)

    @property
    def unanswered(self) -> tuple[str, ...]:
        answers = self.verification.answers.items()
        return tuple(sorted(key for key, at in answers if at is None or at < self.good_from))


async def gather_evidence(ports: Ports, topology: Topology, fresh: bool = False) -> Evidence:
    """Looks again and again until nothing is left to ask, at most for `verifyEvery`. `fresh` takes no earlier answer."""
    began = ports.clock.now()
    good_from = began if fresh else began - topology.timing.verify_every
    memberships = await asyncio.gather(
        *(keep_membership(ports, topology, s, dry_run=True) for s in topology.route_servers)
    )
    unread = tuple(r for m in memberships if m.reading is None for r in m.outcome.reasons)
    while True:
        records = await Records(ports.documents).load_all(topology, ports.clock.now())
        balancers = {s.name: await observe.balancer(ports, topology, s) for s in topology.services if s.load_balancer}
        basis = Basis(tuple(memberships), next_hops(topology, balancers, records), records)
        verification, _ = await verify(ports, topology, basis, not_before=good_from)
        now = ports.clock.now()
        missing = any(at is None or at < good_from for at in verification.answers.values())
        # What is due and affordable was asked: with nothing under way there is nothing to wait for.
        if not missing or not verification.under_way or now - began >= topology.timing.verify_every:
            break
        await ports.clock.sleep(topology.timing.doubt_poll / 2)
    networks = await keep_networks(ports, topology, tuple(memberships), records, dry_run=True)
    unread += tuple(reading for reading in networks.peerings.values() if isinstance(reading, str))
    unread += hidden_instances(memberships)
    return Evidence(verification, networks, good_from, unread)
