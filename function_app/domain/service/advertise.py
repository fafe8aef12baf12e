"""What members announce for a service behind a load balancer, and which of them must be commanded (again)."""

import hashlib
from ipaddress import IPv4Address

from msgspec.structs import replace

from function_app.domain.service.look import Look
from function_app.domain.service.record import Advertised, Record
from function_app.domain.service.steps import Advertisement, SendAdvertise
from function_app.domain.topology.model import Service


def wanted(service: Service, frontend: IPv4Address) -> tuple[Advertisement, ...]:
    """Every prefix of the service with the load balancer's frontend as next hop (Route Server: "next hop IP support")."""
    return tuple(Advertisement(prefix, frontend) for prefix in sorted(service.prefixes))


def next_advertised(service: Service, frontend: IPv4Address, record: Record) -> Record:
    """Numbers a changed set anew, so that an old command can never overwrite it; the same set keeps its number."""
    text = "\n".join(f"{a.prefix} {a.next_hop} {a.prepend}" for a in wanted(service, frontend))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    if digest == record.advertised.digest:
        return record
    return replace(record, advertised=Advertised(seq=record.advertised.seq + 1, digest=digest))


def stale_advertisements(look: Look, frontend: IPv4Address) -> tuple[SendAdvertise, ...]:
    """A command for every member that answers and announces something else."""
    service, record = look.service, look.record
    advertisements = wanted(service, frontend)
    reported = ((name, look.observed.service(name, service.name)) for name in look.members)
    commands = (
        SendAdvertise(name, record.epoch, record.advertised.seq, advertisements)
        for name, mine in reported
        if mine is not None and set(mine.advertised or ()) != set(advertisements)
    )
    return tuple(command for command in commands if command not in look.observed.tried)
