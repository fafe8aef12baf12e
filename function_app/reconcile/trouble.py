"""What the status says of a topology beside its records: what the last look found wrong, whatever the passes do about it.

From the look document alone, like the rest of the status, and only where that is of the document in force.
"""

from collections.abc import Iterator

from msgspec import UNSET

from function_app.domain.base.moments import moment
from function_app.domain.base.timing import CLOCK_LEEWAY
from function_app.domain.preflight.rule import Severity
from function_app.domain.service.watching import called, lost
from function_app.domain.topology.model import Topology
from function_app.reconcile.documents.look import LastLook
from function_app.reconcile.documents.status import ServiceStatus, Status


def found_wrong(topology: Topology, status: Status, seen: LastLook) -> Iterator[str]:
    """Nothing that the status says by the records already."""
    for service in status.services:
        yield from (f"{service.service}: {why}" for why in _of_service(service, seen, status.generation))
    if seen.generation == status.generation:
        yield from _silent(topology, status, seen)
        yield from _clocks(seen)
        errors = (each for each in seen.preflight if each.severity == Severity.ERROR)
        yield from (f"preflight {each.rule}: {each.what}: {each.do}" for each in errors)


def _of_service(service: ServiceStatus, seen: LastLook, generation: str) -> Iterator[str]:
    if service.left is not None:
        if not service.left.done and service.owed:
            owed = f"adminState Down of {', '.join(service.owed)} is ours, and still to be taken back"
            yield f"{owed}: `apply` without the service waits for that; `forget` a member that no pool lists any more"
        return
    looked = seen.services.get(service.service)
    if looked is not None and looked.troubles is not UNSET and seen.generation == generation:
        yield from (f"{each.what} (seen since {moment(each.since)})" for each in looked.troubles)


def _silent(topology: Topology, status: Status, seen: LastLook) -> Iterator[str]:
    """Agents that do not answer, but for holders: of those the status says it with their service."""
    silent = {name: member.reason for name, member in seen.members.items() if not member.reachable}
    holders = {service.holder for service in status.services if service.left is None}
    for speaker in topology.speakers:
        if (why := silent.get(speaker.name)) is not None and speaker.name not in holders:
            means = lost(topology, speaker.name, silent.keys())
            means = means or "bring back its machine, or its agent (systemctl status hopkeeper-agent)"
            yield f"{called(speaker)} does not answer ({why}): {means}"


def _clocks(seen: LastLook) -> Iterator[str]:
    for name, member in seen.members.items():
        offset = member.clock_offset_seconds
        if offset is not UNSET and abs(offset) > CLOCK_LEEWAY.total_seconds():
            off = f"the clock of {name} is {abs(offset):.0f} s {'behind' if offset < 0 else 'ahead'}"
            yield f"{off}: its reports are refused, so that failovers are slow; synchronise it (chrony)"
