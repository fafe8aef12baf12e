"""The fence through the load balancer (F2) and its undoing, step by step over `AdminStates` (safety.md section 2).

    fence  look -> [not listed: health says nothing of it -> look]
    fence  look -> [wary: health no longer says Down_Admin] -> recheck -> set Down -> etag changed -> health says it
    lift   look -> [is Down: health says Down_Admin] -> recheck -> set None -> etag changed -> health no longer says it

Which member, and when, is decided elsewhere; here is only what makes such a write safe and its success a proof. No
state that is found counts for one: a member that is Down already, or None, gets this operation's own write as well
(finding 8), so that no older conditional write can land behind it. A pool that does not list the member is not written: it
is out of it once health has said nothing of it for the settle time, and a look then does not list it either. At most one
change of a member's adminState is ever on its way to the data plane, so that a Down_Admin is never one that a None still
follows (docs/model).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from function_app.domain.base.errors import Superseded, Transient, Unavailable
from function_app.domain.service.observation import ABSENT, AdminState, FenceProof, joined
from function_app.domain.topology.model import AND
from function_app.reconcile.ports import DOWN_ADMIN, BalancerWrite, PoolView, Ports

POLL = timedelta(seconds=1)  # between two health actions, which take about a second themselves
LOOK_COUNTED_MAX = timedelta(seconds=3)  # of a silence, for one health action: the wall clock may be set meanwhile
SOON, LATER = timedelta(seconds=5), timedelta(seconds=60)

type HealthTest = Callable[[str], bool | None]
"""Of a health reason: True for what is waited for, False for its contrary, None where it proves as little as no reason."""

type LookAgain = Callable[[], Awaitable[None]]
"""What follows each reading of health that is against what is waited for. Raises Superseded where it is in vain."""


async def fence(ports: Ports, request: BalancerWrite) -> FenceProof:
    """F2, in every pool of the service; none is written before Down would prove something in each. Raises Unavailable or
    Superseded naming the part of the proof that is missing, Terminal if a pool changed."""
    attempts = _attempts(ports, request)
    firsts = await all_done(_looked(attempt) for attempt in attempts)
    proven = (_fenced(attempt, request, first) for attempt, first in zip(attempts, firsts, strict=True))
    pools = await all_done(proven)
    listing = [pool.address for pool in pools if pool.admin_state is not None]
    etags = AND.join(pool.etag for pool in pools)
    return FenceProof(request.epoch, etags, joined(listing) if listing else ABSENT)


async def lift(ports: Ports, request: BalancerWrite) -> None:
    """Returns once packets no longer meet Down, in any pool that lists it. Raises Unavailable, also where none does,
    Superseded, or Terminal if a pool changed.

    It writes and waits for the data plane even where None is there already: that may come from an unfinished attempt, and a
    Down of this very operation may still be under way.
    """
    lifted = await all_done(_lifted(attempt, request) for attempt in _attempts(ports, request))
    if not any(lifted):
        raise Unavailable(f"{request.speaker.name} is not in the pool", LATER)


def _attempts(ports: Ports, request: BalancerWrite) -> list["_Attempt"]:
    """One a pool. They are of different load balancers (a law), so that no write is in another's way."""
    return [_Attempt(ports, replace(request, service=each)) for each in request.service.at_each_pool]


async def _looked(attempt: "_Attempt") -> PoolView:
    with attempt.explained("fenced"):
        return await attempt.provable()


async def _fenced(attempt: "_Attempt", request: BalancerWrite, first: PoolView) -> PoolView:
    """The pool once it is proven that the member is Down in it, or not in it."""
    with attempt.explained("fenced"):
        if first.admin_state is None:
            return await attempt.gone(request.settle)
        fresh = await attempt.let_go_before(first)
        after = await attempt.written(AdminState.DOWN, first)
        if after.unprovable:
            attempt.missing = "the pool is no longer one in which Down proves anything"
            raise Unavailable(after.unprovable, LATER)
        await attempt.seen_down(request.settle, fresh)
    return after


async def _lifted(attempt: "_Attempt", request: BalancerWrite) -> bool:
    """Whether there was anything to lift: a pool that does not list the member has nothing."""
    with attempt.explained("lifted"):
        before = await attempt.look()
        if before.admin_state is None:
            return False
        if before.admin_state is AdminState.UP:
            raise Unavailable("adminState is Up, which only an operator may undo", LATER)
        fresh = await attempt.arrived_before(before)
        if before.admin_state is AdminState.NONE:
            await attempt.has_health()
        await attempt.written(AdminState.NONE, before)
        await attempt.let_go(request.settle, fresh)
        return True


async def all_done[T](works: Iterable[Awaitable[T]]) -> list[T]:
    """Side by side, and none is left behind under way. Raises what the first one that failed raised."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    return [each for each in done if not isinstance(each, BaseException)]


class _Attempt:
    """One attempt at a fence or a lift. `missing` is the first part of the proof that is not there yet."""

    def __init__(self, ports: Ports, request: BalancerWrite) -> None:
        self.missing = "nothing is written"
        self._states = ports.admin_states
        self._clock = ports.clock
        self._request = request
        self._ends = ports.clock.now() + request.timeout
        self._slept = timedelta()

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except Transient as error:
            words = f"{self._request.speaker.name} is not proven {what}, {self.missing}: {error}"
            raise type(error)(words, error.retry_after) from error

    async def look(self) -> PoolView:
        return await self._states.look(self._request.service, self._request.speaker)

    async def has_health(self) -> None:
        """That the health action answers. Raises Unavailable: what is None is not written again where nothing could show it."""
        await self._states.health_reason(self._request.service, self._request.speaker)

    async def provable(self) -> PoolView:
        view = await self.look()
        if view.unprovable:
            raise Unavailable(view.unprovable, LATER)
        if view.admin_state is None and self._request.hidden:
            raise Unavailable(f"it is not in the pool, and {self._request.hidden}", LATER)
        return view

    async def write(self, state: AdminState, seen: PoolView) -> PoolView:
        """GET (`seen`), recheck, PUT If-Match, in this order (finding 9), and the state is there afterwards."""
        self.missing = f"the write of {state} has not succeeded"
        if self._clock.now() >= self._ends:
            raise self._too_late(SOON)
        if self._request.beside_operator and seen.admin_state is not AdminState.DOWN:
            raise Superseded("an operator took the Down back that was there")
        if not await self._request.recheck():
            raise Superseded("the record moved on before the write")
        after = await self._states.set(self._request.service, self._request.speaker, state, seen.etag)
        if after.admin_state is not state:
            self.missing = f"{state} is not there any more"
            raise Superseded(f"{state} was written and ARM shows {after.admin_state}")
        return after

    async def written(self, state: AdminState, first: PoolView) -> PoolView:
        """This attempt's own write of `state`, succeeded, and another etag than before it.

        An older conditional write that is still under way can then no longer succeed. Where a write that changes
        nothing keeps the etag, that is bumped and the write done again, once.
        """
        after = await self.write(state, first)
        if after.etag == first.etag:
            self.missing = f"the etag did not change with the write of {state}"
            await self._states.bump(self._request.service, after.etag)
            after = await self.write(state, await self.look())
        if after.etag == first.etag:
            self.missing = f"the etag did not change with the write of {state}"
            raise Unavailable(f"the etag still is {first.etag}")
        return after

    # Where health shows no reason, one change is not waited for before the next is written: the settle time after the second
    # covers both. A reading that may belong to either (not `fresh`) counts for no more than no reading.

    async def let_go_before(self, first: PoolView) -> bool:
        """A wary fence of a member that is not Down: whether a Down_Admin from here on can only be of its own write."""
        if not self._request.wary or first.admin_state is AdminState.DOWN:
            return True
        return await self.let_go(timedelta(), fresh=True, contrary=self._still(first.admin_state))

    async def arrived_before(self, first: PoolView) -> bool:
        """A lift of a member that is Down: whether anything else than Down_Admin can only come of its own write."""
        if first.admin_state is not AdminState.DOWN:
            return True
        return await self.seen_down(timedelta(), fresh=True, contrary=self._still(first.admin_state))

    async def gone(self, settle: timedelta) -> PoolView:
        """The pool, which did not list the member and does not once health has shown nothing of it for `settle`."""
        self.missing = "the health action may still show it in the pool"
        await self._settled_on("nothing of it", lambda reason: False, settle, self._still(None))
        after = await self.provable()
        if after.admin_state is not None:
            self.missing = "it is in the pool again"
            raise Superseded(f"adminState {after.admin_state}")
        return after

    def _still(self, state: AdminState | None) -> LookAgain:
        """For readings of health against the state that the pool showed: it may have been shown as it was a minute ago, and what
        is waited for then never comes."""

        async def looked_again() -> None:
            view = await self.look()
            if view.admin_state is not state:
                self.missing = f"the pool shows {_in_words(view.admin_state)} now, and showed {_in_words(state)}"
                raise Superseded("the pool changed, or was shown late")

        return looked_again

    async def let_go(self, settle: timedelta, fresh: bool, contrary: LookAgain | None = None) -> bool:
        self.missing = f"the health action may still show an older {DOWN_ADMIN}"

        def verdict(reason: str) -> bool | None:
            return reason != DOWN_ADMIN if fresh or reason == DOWN_ADMIN else None

        return await self._settled_on("that the older Down is gone", verdict, settle, contrary)

    async def seen_down(self, settle: timedelta, fresh: bool, contrary: LookAgain | None = None) -> bool:
        self.missing = f"the health action has not said {DOWN_ADMIN}"

        def verdict(reason: str) -> bool | None:
            return reason == DOWN_ADMIN if fresh or reason != DOWN_ADMIN else None

        return await self._settled_on(DOWN_ADMIN, verdict, settle, contrary)

    async def _settled_on(
        self,
        wanted: str,
        verdict: HealthTest,
        settle: timedelta,
        contrary: LookAgain | None = None,
    ) -> bool:
        """True once health shows what is wanted, False after `settle` without a reading against it.

        A contrary reading begins the wait anew, after `contrary`, and so does a request that fails: it shows neither.
        """
        quiet: timedelta | None = None
        pause, last = POLL, self._clock.now()
        while True:
            try:
                reason = await self._states.health_reason(self._request.service, self._request.speaker)
            except Transient as error:
                quiet, pause = None, max(POLL, error.retry_after)
                self.missing = f"the health action does not answer ({error})"
            else:
                shown = verdict(reason) if reason else None
                if shown:
                    return True
                if shown is False and contrary is not None:
                    await contrary()
                now = self._clock.now()
                quiet = _longer(quiet, now - last, pause) if shown is None else None
                if quiet is not None and quiet >= settle:
                    return False
                pause, last = POLL, now
                self.missing = _shortfall(reason, wanted, quiet)
            await self._sleep(pause)

    async def _sleep(self, pause: timedelta) -> None:
        """Raises Unavailable instead where that would last beyond the attempt's timeout, by clock or by sleeping."""
        self._slept += pause
        if self._clock.now() + pause > self._ends or self._slept > self._request.timeout:
            raise self._too_late(max(pause, SOON))
        await self._clock.sleep(pause)

    def _too_late(self, retry_after: timedelta) -> Unavailable:
        return Unavailable(f"not done within {self._request.timeout.total_seconds():g} s", retry_after)


def _in_words(state: AdminState | None) -> str:
    return f"adminState {state}" if state is not None else "no such address"


def _longer(quiet: timedelta | None, passed: timedelta, slept: timedelta) -> timedelta:
    """A silence after one more silent answer: it begins with its first, and no step of the wall clock lengthens it."""
    return timedelta() if quiet is None else quiet + max(slept, min(passed, slept + LOOK_COUNTED_MAX))


def _shortfall(reason: str | None, wanted: str, quiet: timedelta | None) -> str:
    if quiet is None:
        return f"the health action says {reason} and not {wanted}"
    said = f"says {reason}, which may be stale," if reason else "is empty"
    return f"the health action {said} and the wait is not over"
