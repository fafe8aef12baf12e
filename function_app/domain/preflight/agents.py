"""Preflight of what Hopkeeper itself stands on: its agents, and its rights."""

import re
from collections.abc import Iterator
from datetime import timedelta

from function_app.domain.preflight.facts import Facts
from function_app.domain.preflight.rule import Fault, services, speakers
from function_app.domain.service import watching
from function_app.domain.topology.model import Mode, Topology

AGENT_VERSION = "0.1.0"
"""The agent that belongs to this app; older ones may lack what it requests."""

CLOCK_OFFSET_MAX = timedelta(seconds=2)
"""Of an agent's clock and ours: beyond 5 s its reports are refused; its status and commands count all the same."""


LACKING = {
    False: "it can never be commanded",
    True: "no report of this witness counts, so that what it watches is not missed",
}
"""What fails without an agent's certificate, by whether it is a witness's."""


def permission(_: object, facts: Facts) -> Iterator[Fault]:
    for denied in facts.arm.denied if facts.arm else ():
        yield Fault(
            "$",
            f"the app may not read {denied.resource}",
            f"grant it {denied.action} there (infra/bicep/modules/roles.bicep has the whole list)",
        )


def certificate(topology: Topology, facts: Facts) -> Iterator[Fault]:
    """Only where no agent is known to answer: one that does has proven its certificate."""
    for path, speaker in speakers(topology):
        agent = speaker.agent if speaker.name in topology.commanded and not facts.agents else None
        if agent is not None and agent.certificate is None:
            yield Fault(
                f"{path}.agent.certificate",
                f"the certificate of the agent of {speaker.name} is missing: {LACKING[speaker.role == 'witness']}",
                f"run hopkeeper-agent enroll on {speaker.name}, and put here what it prints",
            )


def watched(topology: Topology, facts: Facts) -> Iterator[Fault]:
    members = topology.members
    for path, speaker in speakers(topology):
        others = topology.commanded - {speaker.name}
        if speaker.name not in members or not others or others - facts.agents.keys():
            continue
        if not any(speaker.name in facts.agents[name].peers for name in others):
            yield Fault(
                f"{path}.agent",
                f"no agent watches {speaker.name}",
                f"name it under [[peers]] in agent.toml of {', '.join(sorted(others))} (`hopkeeper render --vendor agent`): "
                "without a peer that misses it, its silence alone moves nothing, or late",
            )


def silence_watched(topology: Topology, _: object) -> Iterator[Fault]:
    """With `silence` of 0 a single watcher's word moves the service: two cannot both be cut off from a member that is well."""
    if topology.timing.silence or len(topology.commanded) >= 2:
        return
    bare = sorted(topology.appliances)
    if bare:
        count = f"{len(topology.commanded)} agent{'s' * (len(topology.commanded) != 1)} and witnesses"
        yield Fault(
            "$.timing.silence",
            f"silence is PT0S, and {', '.join(bare)} without an agent {'has' if len(bare) == 1 else 'have'} {count} to watch",
            "give the topology two witnesses, or leave silence at PT2S: one that lost its own network would move the service",
        )


def clock_offset(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        seen = facts.agents.get(speaker.name)
        if seen is not None and abs(seen.offset) > CLOCK_OFFSET_MAX:
            yield Fault(
                f"{path}.agent",
                f"the clock of {speaker.name} is {seen.offset.total_seconds():+.1f} s off ours",
                "synchronise it (chrony with the host's clock): beyond 5 s its reports are refused, which makes failovers slow",
            )


def redundancy(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, service in services(topology):
        lacking = {name: why for name in service.names if (why := _unfit(name, facts))}
        able = [name for name in service.names if name not in lacking]
        means = "the next failure is an outage" if len(able) < 2 else f"{', '.join(able)} are left"
        if lacking:
            yield Fault(
                f"{path}.members",
                f"{'; '.join(lacking.values())}: {means}",
                f"bring back {', '.join(lacking)}: its machine, its agent, or what its check is about",
            )


def answers(topology: Topology, facts: Facts) -> Iterator[Fault]:
    """Of agents that are no member's: witnesses and announcers. A member that does not answer is `redundancy`'s."""
    members = topology.members
    for path, speaker in speakers(topology):
        if (why := facts.agents_unread.get(speaker.name)) is not None and speaker.name not in members:
            lost = watching.lost(topology, speaker.name, facts.agents_unread.keys())
            yield Fault(
                f"{path}.agent",
                f"{watching.called(speaker)} does not answer ({why}){': ' if lost else ''}{lost}",
                "bring it back: its machine, its agent, or what keeps the app from it (NSG); none may be reached from elsewhere",
            )


def _unfit(member: str, facts: Facts) -> str | None:
    """Why it could not serve; sessions that are down are `both-instances`'."""
    if member in facts.silent:
        return f"{member} does not answer"
    seen = facts.agents.get(member)
    return f"{member} is not fit ({'; '.join(seen.fatal)})" if seen is not None and seen.fatal else None


def equal_priority(topology: Topology, _: object) -> Iterator[Fault]:
    """Who is preferred then is decided by the name, which an author may not have meant."""
    for path, service in services(topology):
        if service.mode is not Mode.ACTIVE_PASSIVE:
            continue
        for priority in sorted({member.priority for member in service.members}, reverse=True):
            first, *others = [
                m.speaker for m in sorted(service.members, key=lambda m: m.speaker) if m.priority == priority
            ]
            if others:
                yield Fault(
                    f"{path}.members",
                    f"{', '.join((first, *others))} have one priority, {priority}: {first} is preferred, as its name comes first",
                    "give each member a priority of its own, the highest to the one that should serve",
                )


def agent_alarms(topology: Topology, facts: Facts) -> Iterator[Fault]:
    for path, speaker in speakers(topology):
        seen = facts.agents.get(speaker.name)
        for alarm in seen.alarms if seen is not None else ():
            check = alarm.partition(":")[0]
            yield Fault(
                f"{path}.agent",
                f"the agent of {speaker.name} reports {alarm}",
                f"mend what {check} is about on {speaker.name}: a failover may not reach the routes as it should",
            )


def agent_version(topology: Topology, facts: Facts) -> Iterator[Fault]:
    wanted = _numbers(AGENT_VERSION)
    for path, speaker in speakers(topology):
        seen = facts.agents.get(speaker.name)
        mine = _numbers(seen.version) if seen is not None else None
        if seen is not None and mine is not None and wanted is not None and mine < wanted:
            yield Fault(
                f"{path}.agent",
                f"the agent of {speaker.name} is {seen.version}, older than {AGENT_VERSION}",
                "install the agent of this release",
            )


def _numbers(version: str) -> tuple[int, ...] | None:
    """None for what is no release: a version that cannot be read is unknown, not old."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d{1,6}(\.\d{1,6}){1,3}", version) else None
