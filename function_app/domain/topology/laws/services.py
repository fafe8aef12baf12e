"""Laws of services: their members and announcers can serve their prefixes, by one kind of next hop."""

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from function_app.domain.base.errors import Problem, among
from function_app.domain.topology.announces import of_services, sources
from function_app.domain.topology.laws.reserved import Place
from function_app.domain.topology.model import (
    BackendPool,
    Handover,
    Mode,
    Naming,
    NextHop,
    Service,
    Speaker,
    Topology,
)

ANNOUNCERS_MAX = 8

PREFIXES_OF_A_SERVICE = 600
"""As many as surely fit into a token of 64 KiB (safety.md section 8), however long their texts are."""


def members_are_speakers(topology: Topology, _: Place) -> Iterator[Problem]:
    speakers = {s.name: s for s in topology.speakers}
    for i, service in enumerate(topology.services):
        for j, member in enumerate(service.members):
            path = f"$.services[{i}].members[{j}].speaker"
            if member.speaker not in speakers:
                yield Problem(path, f"no speaker is named {member.speaker!r}{among(member.speaker, speakers)}")
            elif speakers[member.speaker].agent is None and not _may_be_bare(service):
                rule = f"speaker {member.speaker!r} has no agent"
                yield Problem(
                    path,
                    f"{rule}: a member needs one, unless the service is active-passive, without `handover: seamless`, and a load "
                    "balancer or route injectors decide who gets flows",
                )
        for name, count in Counter(m.speaker for m in service.members).items():
            if count > 1:
                yield Problem(f"$.services[{i}].members", f"{name!r} is a member twice")
        yield from _min_healthy_fits(service, f"$.services[{i}].minHealthy")


def _may_be_bare(service: Service) -> bool:
    """Whether its members need no agent: adminState, or what announcers name, keeps new flows from those that do not serve. Two
    that serve side by side need agents: without them Down is the only fence."""
    together = service.mode is Mode.ACTIVE_ACTIVE or service.handover is Handover.SEAMLESS
    return not together and service.naming is not Naming.SELF


def probes_end_at_agents(topology: Topology, _: Place) -> Iterator[Problem]:
    """A load balancer probes the addresses in its pool. What an agent at another address acknowledges proves what the probe is
    answered only if it ends at that agent, which nothing but the operator knows (safety.md section 4a)."""
    behind = {name for service in topology.services if service.load_balancer is not None for name in service.names}
    for i, speaker in enumerate(topology.speakers):
        agent = speaker.agent
        if speaker.name not in behind or agent is None or agent.probe is not None:
            continue
        if speaker.has_agent_elsewhere:
            yield Problem(
                f"$.speakers[{i}].agent.probe",
                f"a load balancer probes {speaker.name!r} and not its agent at {speaker.agent_address}: if one machine has both "
                "addresses, `probe` is the port at each; else leave `agent` out: adminState alone moves it",
            )


def _min_healthy_fits(service: Service, path: str) -> Iterator[Problem]:
    if service.min_healthy is None:
        return
    if service.mode is not Mode.ACTIVE_ACTIVE:
        yield Problem(path, "only an active-active service has minHealthy")
    elif service.min_healthy > len(service.members):
        yield Problem(path, f"{service.min_healthy} cannot be healthy among {len(service.members)} members")


def one_kind_of_next_hop(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        if len(service.next_hop.given) != 1:
            yield Problem(f"$.services[{i}].nextHop", f"needs exactly one of {', '.join(NextHop.kinds())}")


def ranked_services_are_active_passive(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        if service.naming is not None and service.mode is not Mode.ACTIVE_PASSIVE:
            yield Problem(f"$.services[{i}].mode", "only behind a load balancer can a service be active-active")


def handover_fits(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        moves = service.mode is Mode.ACTIVE_PASSIVE and service.load_balancer is not None
        if service.handover is not Handover.PROMPT and not moves:
            rule = f"{service.handover} needs a load balancer that one member at a time is behind"
            yield Problem(f"$.services[{i}].handover", rule)


def who_returns_has_an_agent(topology: Topology, _: Place) -> Iterator[Problem]:
    """`preempt: ready` needs an acknowledgement of who returns (`rest`): of a member without an agent there is none."""
    for i, service in enumerate(topology.services):
        least = min((member.priority for member in service.members), default=0)
        returning = (m for m in service.members if m.speaker in topology.appliances and m.priority > least)
        for member in returning if service.failover.preempt == "ready" else ():
            yield Problem(
                f"$.services[{i}].failover.preempt",
                f"{member.speaker!r} has no agent, and nothing shows that it is ready: it would never return. Leave it `never`, "
                "and `switchover` to it once it is well",
            )


def announcers_can_rank(topology: Topology, _: Place) -> Iterator[Problem]:
    """What outranking rests on: commanded announcers with sessions, and room for AS paths of distinct length."""
    speakers = {s.name: s for s in topology.speakers}
    servers = {server.name for server in topology.route_servers}
    for i, service in enumerate(topology.services):
        if service.naming is None:
            continue
        where = f"$.services[{i}].{'nextHop.member.announcers' if service.naming is Naming.MEMBER else 'members'}"
        if len(set(service.announcers)) != len(service.announcers):
            yield Problem(where, "an announcer is listed twice")
        if len(service.announcers) > ANNOUNCERS_MAX:
            yield Problem(where, f"at most {ANNOUNCERS_MAX} announcers have AS paths of distinct length")
        for name in service.announcers:
            if (rule := _cannot_announce(name, speakers, servers)) is not None:
                yield Problem(where, rule)


def _cannot_announce(name: str, speakers: Mapping[str, Speaker], servers: set[str]) -> str | None:
    if name not in speakers:
        return f"no speaker is named {name!r}{among(name, speakers)}"
    if not servers & set(speakers[name].peers_with):
        return f"{name!r} peers with no Route Server: it cannot announce"
    if speakers[name].agent is None:
        return f"speaker {name!r} has no agent: an announcer is commanded through one"
    return None


def pools_have_one_service(topology: Topology, _: Place) -> Iterator[Problem]:
    claimed: dict[str, str] = {}
    for i, service in enumerate(topology.services):
        for path, pool in pools_of(service, f"$.services[{i}]"):
            owner = claimed.setdefault(pool.pool_id, service.name)
            if owner != service.name:
                rule = f"backend pool {pool.backend_pool!r} already belongs to service {owner!r}: one service a pool"
                yield Problem(f"{path}.backendPool", rule)


def pools_of(service: Service, path: str) -> Iterator[tuple[str, BackendPool]]:
    """The pools that a service is behind, and where the document names them; `path` is the service's."""
    if (balancer := service.load_balancer) is not None:
        path = f"{path}.nextHop.loadBalancer"
        yield path, balancer
        for j, pool in enumerate(balancer.also_behind):
            yield f"{path}.alsoBehind[{j}]", pool


def pools_hold_the_members(topology: Topology, _: Place) -> Iterator[Problem]:
    """One pool of a load balancer, where a fence in another one of it proves nothing (`provable`); its own addresses are
    members', one each."""
    names = {speaker.name for speaker in topology.speakers}
    for i, service in enumerate(topology.services):
        seen: set[str] = set()
        for path, pool in pools_of(service, f"$.services[{i}]"):
            if pool.id.casefold() in seen:
                yield Problem(f"{path}.id", "is listed already: a service has one pool of each load balancer")
            seen.add(pool.id.casefold())
            unclaimed = (
                names if set(service.names) - names else set[str]()
            )  # a member is named wrongly: that is the fault
            for name in sorted(pool.addresses.keys() - set(service.names) - unclaimed):
                yield Problem(f"{path}.addresses", f"{name!r} is no member of service {service.name!r}")
            known = Counter(pool.known(s).address for s in topology.speakers if s.name in service.names)
            for address in sorted(address for address, count in known.items() if count > 1):
                yield Problem(f"{path}.addresses", f"{address} is the address of two members")


def prefixes_fit(topology: Topology, _: Place) -> Iterator[Problem]:
    for i, service in enumerate(topology.services):
        path = f"$.services[{i}].prefixes"
        if len(set(service.prefixes)) != len(service.prefixes):
            yield Problem(path, "a prefix is listed twice")
        if len(service.prefixes) > PREFIXES_OF_A_SERVICE:
            rule = f"{len(service.prefixes)} prefixes: one signed command names at most {PREFIXES_OF_A_SERVICE}"
            yield Problem(path, rule)


def one_service_a_prefix(topology: Topology, _: Place) -> Iterator[Problem]:
    most = topology.timing.prefixes_per_peer
    for i, speaker in enumerate(topology.speakers):
        owners: dict[IPv4Network, str] = {}
        for prefix, service in of_services(topology, speaker):
            if owners.setdefault(prefix, service.name) != service.name:
                both = f"{owners[prefix]!r} and {service.name!r}"
                yield Problem(f"$.speakers[{i}]", f"{prefix} is announced for both {both}: one service a prefix")
        if len(owners) > most:
            yield Problem(
                f"$.speakers[{i}]", f"{len(owners)} prefixes: a Route Server takes at most {most} from a peer"
            )


def services_alone_announce_their_prefixes(topology: Topology, _: Place) -> Iterator[Problem]:
    """A second source on the same Route Server would win by a shorter AS path, or be used side by side (ECMP)."""
    for i, service in enumerate(topology.services):
        mine = f"service {service.name!r}"
        for server in topology.route_servers:
            found = set(sources(topology, server))
            for prefix in service.prefixes:
                others = sorted(source for there, source in found if there == prefix and source != mine)
                if others and (prefix, mine) in found:
                    rule = f"{prefix} is announced to {server.name!r} by {', '.join(others)} too: one source a prefix"
                    yield Problem(f"$.services[{i}].prefixes", rule)
