"""Verification on request: the queries and comparisons of a slow pass, repeated until all are answered. Changes nothing.

The queries are shared with the passes (`operations`): an answer of either serves both while it is good.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from function_app.domain.routes.findings import RouteFinding
from function_app.domain.topology.model import Topology
from function_app.reconcile import observe
from function_app.reconcile.networks import Networks, keep_networks
from function_app.reconcile.peerings.keep import Membership, keep_membership
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
    """Answers that were requested earlier count as none."""
    unread: tuple[str, ...]

    @property
    def findings(self) -> tuple[RouteFinding, ...]:
        """What is wrong first."""
        found = (*self.verification.findings, *self.networks.findings)
        return tuple(sorted(found, key=lambda f: not f.wrong))

    @property
    def sound(self) -> bool:
        """Everything was queried and answered, and nothing is wrong."""
        known = not self.unread and not self.unanswered
        return known and not any(f.wrong for f in self.findings)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Keys of queries without an answer that is good."""
        return _unanswered(self.verification, self.good_from)


async def gather_evidence(
    ports: Ports, topology: Topology, fresh: bool = False, most: timedelta = timedelta.max
) -> Evidence:
    """Looks again and again until nothing is left to query, at most for `verifyEvery`, or `most` where that is less. `fresh`
    takes no earlier answer.

    Raises Unavailable where storage does not answer.
    """
    began = ports.clock.now()
    most = min(most, topology.timing.verify_every)
    good_from = began if fresh else began - topology.timing.verify_every
    servers = (keep_membership(ports, topology, server, dry_run=True) for server in topology.route_servers)
    memberships = tuple(await asyncio.gather(*servers))
    while True:
        basis = await _basis(ports, topology, memberships)
        verification, _ = await verify(ports, topology, basis, not_before=good_from)
        now = ports.clock.now()
        # All that is due and within the budget was started: with nothing under way there is nothing to wait for.
        missing = _unanswered(verification, good_from)
        if not missing or not verification.under_way or now - began >= most:
            break
        await ports.clock.sleep(topology.timing.doubt_poll / 2)
    networks = await keep_networks(ports, topology, memberships, basis.records, dry_run=True)
    return Evidence(verification, networks, good_from, _unread(memberships, networks))


def _unanswered(verification: Verification, good_from: datetime) -> tuple[str, ...]:
    return tuple(sorted(key for key, at in verification.answers.items() if at is None or at < good_from))


async def _basis(ports: Ports, topology: Topology, memberships: tuple[Membership, ...]) -> Basis:
    """The records and next hops as they are now; a failover may have begun since the last look."""
    records = await Records(ports.documents).load_all(topology, ports.clock.now())
    behind = [service for service in topology.services if service.load_balancer]
    balancers = {service.name: await observe.balancer(ports, topology, service) for service in behind}
    return Basis(memberships, next_hops(topology, balancers, records), records)


def _unread(memberships: tuple[Membership, ...], networks: Networks) -> tuple[str, ...]:
    """Why Route Servers, their instances and network peerings could not be read."""
    servers = (reason for m in memberships if m.reading is None for reason in m.outcome.reasons)
    peerings = (reading for reading in networks.peerings.values() if isinstance(reading, str))
    return (*servers, *peerings, *hidden_instances(memberships))
