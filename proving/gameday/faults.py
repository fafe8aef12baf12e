"""What can break in a topology, one thing at a time, and the bound that is published for it. Pure: from the document alone.

A fault that the stage cannot play is listed with its reason, and never left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from function_app.domain.service.bounds import Bound, Detection, FencedBy, Probe
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import Mode, Service, Speaker, Topology
from function_app.domain.topology.peering_names import peering_name
from proving.gameday import acts
from proving.stories.acts import data_path, fault, peering_vanishes
from proving.stories.prober import balancer_of
from proving.stories.stage import Act


class Kind(StrEnum):
    PROCESS = "process"
    SILENCE = "silence"
    FREEZE = "freeze"
    DATA_PATH = "data-path"
    DISK = "disk"
    INSTANCE = "instance"
    PROBE = "probe"
    ARM_SLOW = "arm-slow"
    ARM_REFUSES = "arm-refuses"
    STORAGE = "storage"
    APP = "app"
    POOL = "pool"
    EMPTIED = "pool-emptied"
    PEERING = "peering"


MACHINE = (Kind.PROCESS, Kind.SILENCE, Kind.FREEZE, Kind.DATA_PATH, Kind.DISK)
ANOTHERS_WRITE = (Kind.POOL, Kind.EMPTIED)
"""Until it is found, another writer's adminState is not ours to answer for (safety.md section 6)."""
ARM_SLOW_SECONDS = 60.0
"""Of a write, and of a health answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`where` is the machine that it befalls, if it does; `act` None: not simulated, and `why`."""

    name: str
    kind: Kind | None
    act: Act | None
    where: str = ""
    why: str = ""

    @property
    def says(self) -> str:
        return self.act.words if self.act is not None else self.why


def faults(topology: Topology) -> tuple[Fault, ...]:
    """Every single fault, machine by machine, then Azure part by part; the last ones are not simulated."""
    found = [
        *(each for speaker in topology.speakers for each in _of_machine(topology, speaker)),
        *_of_route_servers(topology),
        *(each for service in topology.services for each in _of_balancers(service)),
        *_of_surroundings(),
    ]
    played = [each for each in found if each.act is not None]
    return (*played, *(each for each in found if each.act is None), *_never(topology))


def pairs(topology: Topology) -> tuple[tuple[Fault, Fault], ...]:
    """Two at once: what by itself moves nothing, or is another machine's, and then a machine that falls silent."""
    single = [each for each in faults(topology) if each.act is not None]
    last = [each for each in single if each.kind is Kind.SILENCE]
    ends = (Kind.FREEZE, Kind.EMPTIED)  # over before the second one begins to count
    return tuple((a, b) for a in single for b in last if a.where != b.where and a.kind not in ends)


def named(topology: Topology, name: str) -> tuple[Fault, ...]:
    """One fault by its name, or two joined by a plus. Raises KeyError for one that there is not, or that is not simulated."""
    known = {each.name: each for each in faults(topology) if each.act is not None}
    return tuple(known[each] for each in name.split("+"))


def _fault(kind: Kind, act: Act | None, where: str = "", *, at: str = "", why: str = "") -> Fault:
    place = at or where
    return Fault(f"{kind}:{place}" if place else kind.value, kind, act, where, why)


# --- machines


def _of_machine(topology: Topology, speaker: Speaker) -> Iterator[Fault]:
    name = speaker.name
    if speaker.has_agent_elsewhere:
        why = "its agent runs on another machine, and the stage has one machine for both"
        yield from (_fault(kind, None, name, why=why) for kind in MACHINE)
        return
    if speaker.agent is None:
        why = "no agent of ours runs on it, and what its own processes do then is not known"
        yield from (_fault(kind, None, name, why=why) for kind in (Kind.PROCESS, Kind.DISK))
    else:
        yield _fault(Kind.PROCESS, acts.process_ends(name), name)
        yield _fault(Kind.DISK, acts.disk_fails(name), name)
    yield _fault(Kind.SILENCE, acts.falls_silent(name), name)
    yield _fault(Kind.FREEZE, acts.freezes(name), name)
    if speaker.role != "witness":
        yield _fault(Kind.DATA_PATH, data_path(name, works=False), name)


# --- Azure, and the app


def _of_route_servers(topology: Topology) -> Iterator[Fault]:
    for server in topology.route_servers:
        for number in range(2):
            act = acts.instance_is_gone(server.name, number)
            yield _fault(Kind.INSTANCE, act, at=f"{server.name}:{number + 1}")
        for speaker in topology.peered_with(server.name):
            words = f"the peering of {speaker.name} on {server.name} is deleted by another writer"
            act = peering_vanishes(server.name, peering_name(topology.name, speaker.name), words)
            yield _fault(Kind.PEERING, act, at=f"{server.name}:{speaker.name}")


def _of_balancers(service: Service) -> Iterator[Fault]:
    for pool in service.load_balancer.pools if service.load_balancer else ():
        balancer = balancer_of(pool)
        for member in service.names:
            yield _fault(Kind.PROBE, acts.probe_is_blocked(balancer, member), member, at=f"{balancer}:{member}")
        yield _fault(Kind.PROBE, acts.probe_is_blocked(balancer, *service.names), at=balancer)
        yield _fault(Kind.POOL, acts.pool_is_deployed_again(pool), at=balancer)
        yield _fault(Kind.EMPTIED, acts.pool_is_emptied(pool), at=balancer)


def _of_surroundings() -> Iterator[Fault]:
    slow = f"the management API takes {ARM_SLOW_SECONDS:g} s for a write, and as long for a health answer"
    yield _fault(Kind.ARM_SLOW, fault(slow, pool_write_seconds=ARM_SLOW_SECONDS, health_seconds=ARM_SLOW_SECONDS))
    yield _fault(Kind.ARM_REFUSES, fault("the management API answers 503 to everything", arm="refuse"))
    yield _fault(Kind.STORAGE, acts.storage_is_away())
    yield _fault(Kind.APP, acts.app_is_gone())


def _never(topology: Topology) -> Iterator[Fault]:
    """What the stage has no part for."""
    whys = {
        "partition": "the stage knows machines that are cut off, and no partition between some of them: make storm draws those",
        "clock": "the stage has one clock: make storm draws wrong ones of hosts",
        "loss": "the stage's network loses nothing or everything: make lab measures loss with real packets",
    }
    for scale_set in topology.scale_sets:
        whys[f"instances:{scale_set.name}"] = "the simulated scale set has no instances yet"
    if any(service.outward for service in topology.services):
        whys["on-premises"] = "routers on-premises have sessions and no machine here: make networks has them"
    yield from (Fault(name, None, None, "", why) for name, why in whys.items())


# --- what is published for it


def published(kind: Kind, where: str, holder: str, service: Service, topology: Topology) -> Bound | None:
    """The bound of how this fault of the holder is found; None where nothing may be moved, or nothing can be seen."""
    if service.mode is not Mode.ACTIVE_PASSIVE or where != holder:
        return None
    detection = _detected(kind, holder, service, topology)
    found = [b for b in kind_of(service).bounds(service, topology, Probe()) if b.detection is detection]
    by_agent = detection in (Detection.SAYS, Detection.PROBE)
    fences = (FencedBy.OUTRANKED, FencedBy.AGENT if by_agent else FencedBy.BALANCER)
    return next((bound for bound in found if bound.fence in fences), None)


def _detected(kind: Kind, holder: str, service: Service, topology: Topology) -> Detection | None:
    is_bare = holder in topology.appliances
    if kind is Kind.DATA_PATH:
        return None if is_bare else Detection.SAYS
    if kind is Kind.PROBE:
        if service.load_balancer is None or service.load_balancer.also_behind:
            return None  # a holder whose probe fails in one pool only is not moved (docs/topology.md)
        return Detection.PROBE_ALONE if is_bare else Detection.PROBE
    if kind not in (Kind.PROCESS, Kind.SILENCE, Kind.FREEZE):
        return None
    if not topology.commanded - {holder}:
        return Detection.PROBE_ALONE
    return Detection.WATCHED if is_bare else Detection.SILENT
