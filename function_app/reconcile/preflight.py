"""Gathers what preflight judges, and stores it: ARM is read at most once per `verifyEvery`, the rest comes with a pass.

`preflight/{topology}.json` holds the last answer of ARM. Nothing here decides, and nothing here may spoil a pass: what
cannot be read is unknown.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain

import msgspec

from function_app.domain.base.addresses import dotted_decimal
from function_app.domain.base.errors import HopkeeperError, Missing
from function_app.domain.preflight.facts import (
    THE_APP,
    AgentFacts,
    AppSubnetFacts,
    ArmFacts,
    Denied,
    Facts,
    InterfaceFacts,
    Rehearsed,
    at_each_pool,
)
from function_app.domain.preflight.summary import Report, lint
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.service.observation import AgentStatus, MemberReading, Unreachable
from function_app.domain.topology.model import Topology
from function_app.reconcile import observe
from function_app.reconcile.act.rehearse import rehearsals
from function_app.reconcile.peerings.keep import Membership, keep_membership
from function_app.reconcile.ports import Ports
from function_app.reconcile.store import kept, keys
from function_app.reconcile.store.topologies import InForce

log = logging.getLogger("hopkeeper.pass")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer of ARM, and for which version of the document it was read."""

    generation: str
    facts: ArmFacts


@dataclass(frozen=True, slots=True)
class SeenInPass:
    """What a pass has seen already: nothing of it is read again."""

    asked: datetime
    """When the agents' statuses were requested: what their clocks are compared with."""
    agents: Mapping[str, MemberReading]
    memberships: tuple[Membership, ...]
    rehearsals: Mapping[str, Rehearsed | None] | None


async def preflight(topology: Topology, arm: ArmFacts | None, seen: SeenInPass) -> Report:
    """The report of a slow pass; awaited as every part of one is that only explains."""
    return lint(topology, _facts(arm, seen))


async def preflight_now(ports: Ports, topology: Topology) -> Report:
    """The report of a document that need not be in force: everything is read now, and nothing is written."""
    asked = ports.clock.now()
    servers = (keep_membership(ports, topology, server, dry_run=True) for server in topology.route_servers)
    agents, arm, memberships, rehearsed = await asyncio.gather(
        observe.agents(ports, topology, topology.timing.observe_fast),
        _arm_facts(ports, topology),
        asyncio.gather(*servers),
        rehearsals(ports, topology),
    )
    return lint(topology, _facts(arm, SeenInPass(asked, agents, tuple(memberships), rehearsed)))


def _facts(arm: ArmFacts | None, seen: SeenInPass) -> Facts:
    answered = {n: reading for n, reading in seen.agents.items() if isinstance(reading, AgentStatus)}
    silent = {name: reading.reason for name, reading in seen.agents.items() if isinstance(reading, Unreachable)}
    return Facts(
        arm=arm,
        route_servers={m.server: m.reading for m in seen.memberships if m.reading is not None},
        route_servers_unread={m.server: "; ".join(m.outcome.reasons) for m in seen.memberships if m.reading is None},
        agents={name: _agent(status, seen.asked) for name, status in answered.items()},
        silent=frozenset(silent) if answered else frozenset(),
        agents_unread=silent,
        rehearsals=seen.rehearsals,
    )


def _agent(status: AgentStatus, asked: datetime) -> AgentFacts:
    offset = status.clock - asked
    peers = frozenset(status.peers)
    return AgentFacts(status.version, offset, status.sessions, status.hold_time, status.fatal, status.alarms, peers)


async def kept_arm_facts(ports: Ports, in_force: InForce) -> ArmFacts | None:
    """The last answer of ARM while it is of this version of the document and fresh enough, else a new one."""
    key = keys.preflight(in_force.topology.name)
    try:
        last, _ = await kept.load(ports.documents, key, Kept, dotted_decimal)
        now, every = ports.clock.now(), in_force.topology.timing.verify_every
        if last and last.generation == in_force.generation and last.facts.at <= now < last.facts.at + every:
            return last.facts
        read = await _arm_facts(ports, in_force.topology)
        body = msgspec.json.encode(Kept(generation=in_force.generation, facts=read), enc_hook=str)
        await ports.documents.put(key, msgspec.json.format(body, indent=1))
    except HopkeeperError as error:
        why = {"topology": in_force.topology.name, "error": str(error)}
        log.warning("what preflight reads of ARM was not loaded or stored: %s", why, extra=why)
        return None
    return read


async def _arm_facts(ports: Ports, topology: Topology) -> ArmFacts:
    """Reads everything side by side; whatever fails is left out, with its reason."""
    at = ports.clock.now()
    answered = await _answered([*_reads(ports, topology), _Read(THE_APP, THE_APP, ports.surroundings.app_subnet)])
    _, subnet = answered[-1]
    failed = [(read.id.casefold(), answer) for read, answer in answered if isinstance(answer, HopkeeperError | Denied)]
    return ArmFacts(
        at=at,
        locations=_of(str, answered),
        balancers=_of(BalancerFacts, answered),
        interfaces=_of(InterfaceFacts, answered),
        app_subnet=subnet if isinstance(subnet, AppSubnetFacts) else None,
        app_subnet_unset=subnet is None,
        denied=_denied(answer for _, answer in answered),
        missing={key: str(answer) for key, answer in failed if isinstance(answer, Missing) and key != THE_APP},
        unread={key: _why(answer) for key, answer in failed},
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """One thing that is read of ARM: the name and the id by which the document knows it."""

    name: str
    id: str
    call: Callable[[], Awaitable[object]]


def _reads(ports: Ports, topology: Topology) -> Iterator[_Read]:
    """What the document names, each by its id."""
    around = ports.surroundings
    for server in topology.route_servers:
        yield _Read(server.name, server.id, partial(around.location, server))
    for key, service in chain.from_iterable(at_each_pool(service).items() for service in topology.services):
        if service.load_balancer is not None:
            yield _Read(key, service.load_balancer.id, partial(around.balancer, service))
    for speaker in topology.speakers:
        if speaker.interface is not None:
            yield _Read(speaker.name, speaker.interface, partial(around.interface, speaker))
    for scale_set in topology.scale_sets:
        yield _Read(scale_set.name, scale_set.id, partial(ports.scale_sets.instances, scale_set))
    for peering in topology.network_peerings:
        yield _Read(peering.name, peering.id, partial(ports.network_flags.read, peering))


async def _answered(reads: list[_Read]) -> list[tuple[_Read, object]]:
    """Each with its answer, or with the error of ours that was raised."""
    answers = await asyncio.gather(*(read.call() for read in reads), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, HopkeeperError):
            raise answer
    return list(zip(reads, answers, strict=True))


def _of[T](kind: type[T], answered: Sequence[tuple[_Read, object]]) -> dict[str, T]:
    return {read.name: found for read, found in answered if isinstance(found, kind)}


def _denied(answers: Iterable[object]) -> tuple[Denied, ...]:
    """Each permission that is missing once, in an order of its own: resource ids are compared without case."""
    denied = {(d.action, d.resource.casefold()): d for d in answers if isinstance(d, Denied)}
    return tuple(denied[key] for key in sorted(denied))


def _why(answer: HopkeeperError | Denied) -> str:
    """Why it was not read."""
    return f"403: the app may not {answer.action} it" if isinstance(answer, Denied) else str(answer)
