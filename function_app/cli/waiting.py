"""Follows a service after an order until it is at rest, and a status until it is interrupted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from function_app.cli.app import App
from function_app.domain.base.errors import Unavailable
from function_app.domain.base.moments import moment
from function_app.domain.service.record import Phase
from function_app.reconcile.documents.status import ServiceStatus, Status
from function_app.reconcile.ports import Clock
from function_app.views.moves import DRAIN, progress_line

PERIOD = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order that was taken. `member` is the one that it names, if any: who is to serve, or is drained."""

    topology: str
    service: str
    verb: str
    member: str | None


@dataclass(frozen=True, slots=True)
class Follower:
    """Reads the status again and again, and says each change. It waits for `most` at most."""

    app: App
    clock: Clock
    say: Callable[[str], None]
    most: timedelta

    async def follow(self, ordered: Ordered) -> str | None:
        """Until the service is at rest. Gives what is not as it was ordered; None where all is."""
        until, said = self.clock.now() + self.most, ""
        while True:
            try:
                service = service_of(await self.app.status(ordered.topology), ordered.service)
                over, line = service is None or _is_over(service, ordered), _line(service)
            except Unavailable as error:
                service, over, line = None, False, f"no status: {error}"
            if line != said:
                self.say(f"{moment(self.clock.now())}  {line}")
                said = line
            if over:
                return _fault(service, ordered)
            if self.clock.now() >= until:
                return (
                    f"not at rest after {self.most.total_seconds():.0f} s: it goes on without this command; "
                    f"hopkeeper status {ordered.topology}"
                )
            await self.clock.sleep(PERIOD)


def service_of(status: Status, name: str) -> ServiceStatus | None:
    return next((service for service in status.services if service.service == name), None)


def _line(service: ServiceStatus | None) -> str:
    return "it has left the topology" if service is None else progress_line(service)


def _is_over(service: ServiceStatus, ordered: Ordered) -> bool:
    """At rest: nothing is under way, and who was to be drained does not serve any more."""
    if service.left is not None:
        return service.left.done
    drained = ordered.verb == DRAIN and ordered.member in service.may_serve
    return service.phase == Phase.STABLE and not drained


def _fault(service: ServiceStatus | None, ordered: Ordered) -> str | None:
    """A switchover goes back where its target refuses."""
    wanted = ordered.member if ordered.verb in ("switchover", "failover") else None
    if service is None or wanted is None or service.holder == wanted:
        return None
    return (
        f"{service.holder or 'no member'} serves, not {wanted}: hopkeeper explain {ordered.topology} {ordered.service}"
    )


async def watch(draw: Callable[[], Awaitable[None]], clock: Clock, every: timedelta) -> None:
    """Draws until it is interrupted; a status that cannot be read now may be read the next time."""
    while True:
        await draw()
        await clock.sleep(every)
