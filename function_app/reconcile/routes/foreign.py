"""What was learned lately of peers that do not announce a ranked service, from the answers that verification has stored."""

from function_app.domain.routes.foreign import contested
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile.ports import Ports
from function_app.reconcile.routes.operations import OperationsOf
from function_app.reconcile.routes.rows import peer_route, readable

LATELY = 2
"""Answers that are older than so many times `verifyEvery` count as none."""


async def contested_now(ports: Ports, topology: Topology, service: Service) -> tuple[str, ...]:
    """Foreign routes that tie or beat the holder's at rest, in words; none where nothing is known. Raises Unavailable."""
    stored = await OperationsOf(ports.documents, topology.name).load()
    since = ports.clock.now() - topology.timing.verify_every * LATELY
    others: dict[str, tuple[LearnedRoute, ...]] = {}
    for key, answer in stored.answers.items():
        kind, _, where = key.partition(" ")
        peer = where.partition("/")[2]
        routes = readable(answer.rows, peer_route) if kind in ("learned", "foreign") and answer.at >= since else None
        if routes is not None and peer not in service.announcers:
            others[where] = _not_passed_on(topology, service, peer, routes)
    rest = kind_of(service)
    lead = min(rest.length_at_rest(service, announcer) for announcer in service.announcers)
    return contested(service, lead, others)


def _not_passed_on(
    topology: Topology, service: Service, peer: str, routes: tuple[LearnedRoute, ...]
) -> tuple[LearnedRoute, ...]:
    """Without what a hub passes on of members: their next hop is unchanged."""
    if not any(speaker.name == peer and speaker.role == "hub" for speaker in topology.speakers):
        return routes
    members = [topology.speaker(name).address for name in service.names]
    return tuple(route for route in routes if route.next_hop not in members)
