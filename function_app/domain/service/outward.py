"""What members announce to their on-premises neighbours, so that return traffic takes the way of the one that serves.

A member is sent both forms at once, one for serving and one for standby, and its agent announces the one of its role
(ADR 5). So nothing here is part of a change of roles: a command is sent only while the service is at rest and nothing
else is to be done, it proves nothing, and one that fails is an alarm.
"""

import hashlib

from msgspec.structs import replace

from function_app.domain.service.look import Look
from function_app.domain.service.observation import AgentService
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


def next_outward(look: Look) -> tuple[Record, tuple[SendOutward, ...]]:
    """The record, with a number for what members should announce, and a command for each that answers and differs.

    A changed wish gets a higher number, so that an old command never overwrites a newer one; so does one that an agent
    would refuse, since its number predates the loss of the record. No member is sent what it announces already.
    """
    record, wanted = look.record, wanted_outward(look.service)
    late = {name: mine for name in look.members if (mine := _late(look, name, wanted)) is not None}
    if not late:
        return record, ()
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
    seq = record.outward.seq
    newest = max(mine.outward_turn for mine in late.values())
    if digest != record.outward.digest or newest >= (record.epoch, seq):
        seq = max(seq, newest[1]) + 1
    numbered = replace(record, outward=Advertised(seq=seq, digest=digest))
    commands = (SendOutward(name, record.epoch, seq, wanted) for name in late)
    return numbered, tuple(command for command in commands if command not in look.observed.tried)


def outward_alarms(look: Look) -> tuple[str, ...]:
    """Members that have no session with a declared neighbour: return traffic may not follow them."""
    declared = sorted(n.address for n in look.service.outward.neighbours) if look.service.outward is not None else []
    alarms = []
    for name in look.members:
        status = look.status(name)
        up = status.outward_sessions if status is not None else dict.fromkeys(declared, True)
        down = [str(address) for address in declared if not up.get(address)]
        if down:
            alarms.append(f"{name} has no session with on-premises {', '.join(down)}: return traffic may not follow it")
    return tuple(alarms)


def _late(look: Look, name: str, wanted: OutwardRoutes) -> AgentService | None:
    mine = look.observed.service(name, look.service.key)
    return mine if mine is not None and mine.outward != wanted else None
