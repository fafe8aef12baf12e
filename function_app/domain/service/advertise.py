"""What members announce for a service behind a load balancer, and which of them must be commanded (again)."""

import hashlib
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.service.look import Look
from function_app.domain.service.observation import AgentService
from function_app.domain.service.record import Advertised, Record
from function_app.domain.service.steps import Advertisement, SendAdvertise
from function_app.domain.topology.model import Service


def wanted(service: Service, frontend: IPv4Address) -> tuple[Advertisement, ...]:
    """Every prefix of the service with the load balancer's frontend as next hop (Route Server: "next hop IP support")."""
    return tuple(Advertisement(prefix, frontend) for prefix in sorted(service.prefixes))


def next_advertised(
    record: Record, advertisements: tuple[Advertisement, ...], newest: tuple[int, int] = (0, 0)
) -> Record:
    """Numbers a changed set anew, so that an old command can never overwrite it; the same set keeps its number.

    `newest` is the highest (epoch, seq) at which a member that is to be commanded accepted another set: it takes only a
    higher one, also where the record that numbered it was lost, or ranked the service by another counter.
    """
    text = "\n".join(f"{a.prefix} {a.next_hop} {a.prepend}" for a in advertisements)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    seq = record.advertised.seq
    if digest == record.advertised.digest and newest < (record.epoch, seq):
        return record
    return replace(record, advertised=Advertised(seq=max(seq, newest[1]) + 1, digest=digest))


def _reported(look: Look) -> dict[str, AgentService]:
    service = look.service
    shown = ((name, look.observed.service(name, service.key)) for name in service.announcers)
    return {name: mine for name, mine in shown if mine is not None}


def next_advertisements(
    look: Look, advertisements: tuple[Advertisement, ...]
) -> tuple[Record, tuple[SendAdvertise, ...]]:
    """The record with the number of this set, and a command for every announcer that answers and announces another.

    A withdrawal that an agent took and could not carry out is ordered again: nothing may be proven by it. What is to be
    announced the agent goes on trying by itself, and a look waits for nothing that it can do without.
    """
    known = _reported(look)
    late = {name: mine for name, mine in known.items() if set(mine.advertised or ()) != set(advertisements)}
    newest = max((mine.advertised_turn for mine in late.values()), default=(0, 0))
    record = next_advertised(look.record, advertisements, newest)
    # Where a set is wanted, each is late or tries by itself.
    unsent = () if advertisements else (name for name, mine in known.items() if mine.unsent)
    turn = (record.epoch, record.advertised.seq)
    commands = (SendAdvertise(name, *turn, advertisements) for name in dict.fromkeys((*late, *unsent)))
    return record, tuple(command for command in commands if command not in look.observed.tried)
