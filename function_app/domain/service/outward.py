"""What members tell their on-premises neighbours, so that return traffic takes the way of whoever serves.

A member is told both forms at once, the one for serving and the one for standby, and its agent announces the one of its
role (ADR 5). So nothing here is part of a change of roles: a command is sent only while the service is at rest and nothing
else is to be done, it proves nothing, and one that fails is an alarm.
"""

import hashlib

from msgspec.structs import replace

from function_app.domain.service.observation import AgentService, Observed
from function_app.domain.service.record import Advertised, Record
from function_app.domain.service.steps import NOTHING_OUTWARD, OutwardRoutes, SendOutward
from function_app.domain.topology.model import Service


def wanted_outward(service: Service) -> OutwardRoutes:
    """The same for every member; nothing where the service declares nothing."""
    outward = service.outward
    if outward is None:
        return NOTHING_OUTWARD
    prepend = outward.prepend if outward.standby == "prepend" else None
    return OutwardRoutes(tuple(sorted(outward.prefixes)), prepend)


def next_outward(service: Service, observed: Observed, record: Record) -> tuple[Record, tuple[SendOutward, ...]]:
    """The record, with a number for what members are told, and a command for each that answers and tells otherwise.

    A changed wish gets a higher number, so that an old command never overwrites a newer one; so does one that an agent
    would refuse, since its number is from before the record was lost. Nobody is told anew what it tells already.
    """
    wanted = wanted_outward(service)
    late = {name: mine for name in service.names if (mine := _late(service, name, observed, wanted)) is not None}
    if not late:
        return record, ()
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    seq = record.outward.seq
    newest = max(mine.outward_turn for mine in late.values())
    if digest != record.outward.digest or newest >= (record.epoch, seq):
        seq = max(seq, newest[1]) + 1
    numbered = replace(record, outward=Advertised(seq=seq, digest=digest))
    commands = (SendOutward(name, record.epoch, seq, wanted) for name in late)
    return numbered, tuple(command for command in commands if command not in observed.tried)


def outward_alarms(service: Service, observed: Observed) -> tuple[str, ...]:
    """Members whose return traffic may not follow: without a session with a neighbour that is declared."""
    declared = service.outward.neighbours if service.outward is not None else ()
    alarms = []
    for name in service.names:
        status = observed.status(name)
        up = status.outward_sessions if status is not None else dict.fromkeys((n.address for n in declared), True)
        down = [str(address) for address in sorted(n.address for n in declared) if not up.get(address)]
        if down:
            alarms.append(f"{name} has no session with on-premises {', '.join(down)}: return traffic may not follow it")
    return tuple(alarms)


def _late(service: Service, name: str, observed: Observed, wanted: OutwardRoutes) -> AgentService | None:
    mine = observed.service(name, service.name)
    return mine if mine is not None and mine.outward != wanted else None
