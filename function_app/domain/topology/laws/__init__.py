"""The rules that a topology must keep, checked when it is loaded: each broken one names the path and the rule.

A document that breaks any is refused whole and the last good version stays in force.

| module | question |
|---|---|
| `names` | Is every name one thing's only, and every id of the right type? |
| `speakers` | May these addresses, ASNs, certificates and roles be used? |
| `peerings` | Who may peer with what, and which connections may be touched? |
| `scale_sets` | Can the instances become speakers? |
| `services` | Can these members and announcers serve these prefixes? |
| `outward` | May this be announced beyond Azure? |
"""

from collections.abc import Callable, Iterator

from function_app.domain.base import timing
from function_app.domain.base.errors import Problem
from function_app.domain.topology.laws import names, outward, peerings, scale_sets, services, speakers
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.laws.services import PREFIXES_OF_A_SERVICE
from function_app.domain.topology.model import Topology

__all__ = ["LAWS", "PREFIXES_OF_A_SERVICE", "RECENT", "Place", "broken_laws", "broken_recent_laws"]


type Law = Callable[[Topology, Place], Iterator[Problem]]


def broken_laws(topology: Topology, place: Place) -> tuple[Problem, ...]:
    """Every broken law, in the order of LAWS; empty when the topology may be used."""
    return _broken(LAWS, topology, place)


def broken_recent_laws(topology: Topology, place: Place) -> tuple[Problem, ...]:
    """The same of the laws that documents of an older version need not keep while they stay as they are."""
    return _broken(RECENT, topology, place)


def _broken(laws: tuple[Law, ...], topology: Topology, place: Place) -> tuple[Problem, ...]:
    return tuple(problem for law in laws for problem in law(topology, place))


def _timing_holds(topology: Topology, _: Place) -> Iterator[Problem]:
    yield from timing.broken_laws(topology.timing)


def _timing_is_sane(topology: Topology, _: Place) -> Iterator[Problem]:
    yield from timing.out_of_range(topology.timing)


LAWS: tuple[Law, ...] = (
    names.names_are_unique,
    names.services_are_known_by_one_name,
    names.peering_names_are_short,
    names.route_servers_are_listed_once,
    names.ids_are_of_their_type,
    speakers.addresses_are_inside,
    speakers.agents_have_addresses_of_their_own,
    speakers.asns_are_allowed,
    speakers.certificates_are_pem,
    speakers.announcements_fit,
    peerings.speakers_peer_with_route_servers_or_hubs,
    peerings.route_servers_have_room,
    peerings.hubs_pass_on,
    peerings.clients_have_an_asn_of_their_own,
    peerings.relays_fit,
    names.network_peerings_have_names_of_their_own,
    peerings.adopted_are_peers,
    peerings.only_own_are_removed,
    scale_sets.names_are_free,
    scale_sets.instances_can_peer,
    services.members_are_speakers,
    services.probes_end_at_agents,
    speakers.witnesses_only_watch,
    speakers.witnesses_announce_nothing,
    speakers.watches_fit,
    services.one_kind_of_next_hop,
    services.ranked_services_are_active_passive,
    services.handover_fits,
    services.who_returns_has_an_agent,
    services.announcers_can_rank,
    services.pools_have_one_service,
    services.pools_hold_the_members,
    services.prefixes_fit,
    services.one_service_a_prefix,
    services.services_alone_announce_their_prefixes,
    outward.outward_fits,
    _timing_holds,
    _timing_is_sane,
)
RECENT: tuple[Law, ...] = (
    speakers.witnesses_announce_nothing,
    names.ids_are_of_their_type,
    services.services_alone_announce_their_prefixes,
    speakers.announcements_fit,
    peerings.clients_have_an_asn_of_their_own,
    services.who_returns_has_an_agent,
    _timing_is_sane,
)
"""Laws that the version before did not have: a stored document that was in force goes on being managed, with an alarm. Never one
that says where we connect, or without which the code cannot go on."""
