"""Waits until the load balancer's probe has found out what a member answers, by its health and by the time that it needs.

    up      health shows it up, after it was down; or at the end of that time
    not up  health shows it down, after it was up; or does not show it up at the end of that time

Health shows a change late. So a first reading that shows what is waited for may be older than the member's last change, and
counts for nothing before the time is over; neither does one that cannot be read. What is not so then is waited for again.
"""

import asyncio
from datetime import timedelta

from function_app.domain.base.errors import Transient, Unavailable
from function_app.domain.service.observation import FAILING, AdminState, Backend, Value
from function_app.domain.service.steps import AwaitProbe
from function_app.domain.topology.model import Service, Speaker
from function_app.reconcile.act.fencing import LOOK_COUNTED_MAX, POLL, SOON, all_done
from function_app.reconcile.ports import Ports

READ_MAX = timedelta(seconds=8)
"""Of one reading: the wait has an end although the management API has none."""


async def await_probe(ports: Ports, service: Service, speaker: Speaker, wait: AwaitProbe) -> None:
    """Returns once it is so in every pool. Raises Unavailable: it is not so, or it is not known how long the probe needs."""
    if wait.within is None:
        raise Unavailable("it is not known how long the load balancer's probe needs: it was not read yet", SOON)
    await all_done(_at_pool(ports, each, speaker, wait, wait.within) for each in service.at_each_pool)


async def _at_pool(ports: Ports, service: Service, speaker: Speaker, wait: AwaitProbe, within: timedelta) -> None:
    wanted, contrary = (Value.OK, Value.BAD) if wait.up else (Value.BAD, Value.OK)
    waited, has_turned = timedelta(), wait.first_counts
    while True:
        asked = ports.clock.now()
        shown, said = await _shown(ports, service, speaker)
        if _has_begun_to_fail(wait, said, waited) or (has_turned and shown is wanted):
            return
        has_turned = has_turned or shown is contrary
        waited += min(max(ports.clock.now() - asked, timedelta()), READ_MAX if wait.first_counts else LOOK_COUNTED_MAX)
        if waited >= within:
            break
        await ports.clock.sleep(POLL)
        waited += POLL
    if shown is contrary or (wait.up and shown is not wanted):
        seconds = within.total_seconds()
        raise Unavailable(f"after {seconds:g} s the load balancer says of {speaker.name}: {said}", SOON)


def _has_begun_to_fail(wait: AwaitProbe, said: str, waited: timedelta) -> bool:
    return wait.first_counts and said == FAILING and waited >= wait.failing_after


async def _shown(ports: Ports, service: Service, speaker: Speaker) -> tuple[Value, str]:
    """What health says of the probe, and in its own words."""
    try:
        async with asyncio.timeout(READ_MAX.total_seconds()):
            reason = await ports.admin_states.health_reason(service, speaker)
    except TimeoutError:
        return Value.UNKNOWN, f"nothing within {READ_MAX.total_seconds():g} s"
    except Transient as error:
        return Value.UNKNOWN, str(error)
    return Backend(AdminState.NONE, reason).probed, reason or "nothing"
