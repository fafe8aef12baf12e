"""What is lost while agents do not answer that are no members themselves: witnesses, and announcers. For people alone."""

from collections.abc import Iterator, Set

from function_app.domain.service.bounds import Detection, Probe
from function_app.domain.service.kinds import kind_of
from function_app.domain.topology.model import Service, Speaker, Topology


def called(speaker: Speaker) -> str:
    return f"witness {speaker.name}" if speaker.role == "witness" else speaker.name


def lost(topology: Topology, speaker: str, silent: Set[str]) -> str:
    """What it means that this agent does not answer while all of `silent` do not; empty where nothing depends on it."""
    return "; ".join(part for service in topology.services for part in _lost_of(topology, service, speaker, silent))


def _lost_of(topology: Topology, service: Service, speaker: str, silent: Set[str]) -> Iterator[str]:
    if speaker in service.announcers and speaker not in service.names:
        left = ", ".join(name for name in service.announcers if name not in silent)
        means = f"{left} can" if left else "no failover of it reaches the routes"
        yield f"it cannot be ordered to announce {service.name}: {means}"
    bare = [name for name in service.names if name in topology.appliances]
    if bare and speaker in topology.commanded:
        yield from _of_watchers(topology, service, bare, sorted(topology.commanded - silent))


def _of_watchers(topology: Topology, service: Service, bare: list[str], left: list[str]) -> Iterator[str]:
    """`left`: agents that answer, each of which watches the members without one."""
    if not left:
        yield _unwatched(topology, service, bare)
    elif len(left) == 1 and len(topology.commanded) > 1:
        yield f"{left[0]} alone decides whether {', '.join(bare)} of {service.name} failed"


def _unwatched(topology: Topology, service: Service, bare: list[str]) -> str:
    """What it takes to notice that a member without an agent failed, where none is left that watches it."""
    longest = {bound.detection: bound.total for bound in kind_of(service).bounds(service, topology, Probe())}
    alone, watched = longest.get(Detection.PROBE_ALONE), longest.get(Detection.WATCHED)
    if alone is None:
        return f"no agent sees whether {', '.join(bare)} of {service.name} failed: nothing fails over"
    slower = f"a failover of {service.name} takes up to {alone.total_seconds():g} s"
    return slower if watched is None or watched >= alone else f"{slower} in place of {watched.total_seconds():g} s"
