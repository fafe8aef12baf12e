"""What a person should know although nothing is to be done: alarms, and who could follow the holder."""

import re
from collections.abc import Iterator

from function_app.domain.service.election import is_down_by_operator, unable
from function_app.domain.service.health import HealthRow, judge
from function_app.domain.service.kinds import kind_of
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Backend
from function_app.domain.topology.model import AND


def spares(look: Look) -> dict[str, str | None]:
    """By member that is not the holder why it could not take over now; None where it could."""
    return {name: unable(look, name) for name in look.members if name != look.record.holder}


def alarms(look: Look, holder: str | None) -> Iterator[str]:
    """Of a service at rest; no holder where every member serves."""
    for name in look.members:
        yield from _alarms_of(look, name)
    yield from _balancer_alarms(look, holder)
    yield from _session_alarms(look, holder)
    if holder is not None:
        yield from _redundancy_alarms(look)


def _balancer_alarms(look: Look, holder: str | None) -> Iterator[str]:
    for name in look.members:
        if is_down_by_operator(look, name):
            whose = "an operator's, or ours of a record that was lost or forgot it"
            yield f"adminState of {name} is Down, and not by us: {whose}{_undoing(look.backend(name))}"
    yield from look.record.flaws
    up = [name for name in look.members if look.is_admitted(name)]
    if len(up) > 1 and holder is not None:
        yield f"the load balancer's probe succeeds on {', '.join(up)}"


def _undoing(backend: Backend | None) -> str:
    """The end of a sentence: the commands that take Down back, where the reading says at which addresses."""
    shown = backend.address.split(AND) if backend is not None else []
    parts = [found.groups() for address in shown if (found := _ADDRESS.fullmatch(address))]
    commands = (
        f"`az network lb address-pool address update -g {group} --lb-name {lb} --pool-name {pool} -n {it} --set adminState=None`"
        for group, lb, pool, it in parts
    )
    return f"; to take it back: {', '.join(commands)}" if parts else ""


_ADDRESS = re.compile(r".*/resourcegroups/([^/]+)/.*/loadbalancers/([^/]+)/backendaddresspools/([^/]+)/([^/]+)")
"""Of ARM's id of a pool, in lower case, and an address in it."""


def _alarms_of(look: Look, member: str) -> Iterator[str]:
    """Those that the agent of one member is the reason for."""
    status, role = look.status(member), look.role(member)
    if status is not None and status.excused:
        yield f"{member} goes on answering although checks fail, as no member passes them: {'; '.join(status.excused)}"
    yield from (f"{member}: {alarm}" for alarm in (status.alarms if status is not None else ()))
    if judge(look, member).row is HealthRow.FIT_UNHEARD:
        yield f"{member}: its peers do not hear it, although it is fit"
    if role is not None and role[0] > look.record.epoch:
        yield f"{member} claims epoch {role[0]}, and shows no command of ours: it is not believed"


def _redundancy_alarms(look: Look) -> Iterator[str]:
    """Standbys that could not take over, and what that means for the next failure."""
    others = spares(look)
    lacking = [why for why in others.values() if why]
    if not lacking:
        return
    able = [name for name, why in others.items() if not why]
    means = f"{', '.join(able)} still can" if able else "no redundancy: the next failure is an outage"
    yield f"cannot take over: {'; '.join(lacking)}; {means}"


def _session_alarms(look: Look, holder: str | None) -> Iterator[str]:
    announcers = look.service.announcers
    down = [name for name in announcers if _has_sessions_down(look, name)]
    moves = kind_of(look.service).holder_announces
    others = (
        "where one is missing, another member is the next hop" if moves else "the others announce the same next hop"
    )
    if down and len(down) == len(announcers):
        yield "no announcer has all its BGP sessions Established: the Route Server, or the way to it"
    else:
        serving = [name for name in down if holder in (name, None)]
        yield from (f"{name} has BGP sessions that are not Established; {others}" for name in serving)


def _has_sessions_down(look: Look, member: str) -> bool:
    status = look.status(member)
    return status is not None and bool(status.sessions) and not all(status.sessions.values())
