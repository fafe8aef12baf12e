"""Gathers what preflight judges, and stores it: ARM is read at most once per `verifyEvery`, the rest comes with a pass.

`preflight/{topology}.json` holds the last answer of ARM. Nothing here decides, and nothing here may spoil a pass: what
cannot be read is unknown.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from function_app.domain.base.addresses import dotted_decimal
from function_app.domain.base.errors import HopkeeperError
from function_app.domain.preflight.facts import (
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

APP = "the app"


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
    return Facts(
        arm=arm,
        route_servers={m.server: m.reading for m in seen.memberships if m.reading is not None},
        agents={name: _agent(status, seen.asked) for name, status in answered.items()},
        silent=frozenset(n for n, r in seen.agents.items() if isinstance(r, Unreachable)) if answered else frozenset(),
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
    """Reads everything side by side; whatever fails is left out."""
    around = ports.surroundings
    servers = {s.name: partial(around.location, s) for s in topology.route_servers}
    behind = chain.from_iterable(at_each_pool(s).items() for s in topology.services if s.load_balancer is not None)
    balancers = {key: partial(around.balancer, each) for key, each in behind}
    interfaces = {s.name: partial(around.interface, s) for s in topology.speakers if s.interface is not None}
    at = ports.clock.now()
    located, balanced, attached, own = await asyncio.gather(
        _each(servers), _each(balancers), _each(interfaces), _each({APP: around.app_subnet})
    )
    subnet = own.get(APP)
    return ArmFacts(
        at=at,
        locations=_of(str, located),
        balancers=_of(BalancerFacts, balanced),
        interfaces=_of(InterfaceFacts, attached),
        app_subnet=subnet if isinstance(subnet, AppSubnetFacts) else None,
        app_subnet_unset=APP in own and subnet is None,
        denied=_denied(*located.values(), *balanced.values(), *attached.values(), *own.values()),
    )


def _of[T](kind: type[T], answers: Mapping[str, object]) -> dict[str, T]:
    return {name: found for name, found in answers.items() if isinstance(found, kind)}


def _denied(*answers: object) -> tuple[Denied, ...]:
    """Each permission that is missing once, in an order of its own: resource ids are compared without case."""
    denied = {(d.action, d.resource.casefold()): d for d in answers if isinstance(d, Denied)}
    return tuple(denied[key] for key in sorted(denied))


async def _each(asked: Mapping[str, Callable[[], Awaitable[Any]]]) -> dict[str, Any]:
    """What was answered, by name; an error is no answer."""
    answers = await asyncio.gather(*(ask() for ask in asked.values()), return_exceptions=True)
    found = dict(zip(asked, answers, strict=True))
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, HopkeeperError):
            raise answer
    return {name: answer for name, answer in found.items() if not isinstance(answer, HopkeeperError)}
