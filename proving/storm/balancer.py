"""The simulated load balancer: a control plane with one etag, and a data plane that follows it later, in order.

The rule's health action tells of the data plane, late by `lag` seconds, or nothing at all.
"""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from function_app.domain.base.errors import Superseded, Terminal, Unavailable
from function_app.domain.service.observation import FAILING, AdminState, Backend, BalancerReading
from function_app.reconcile.ports import PoolView
from proving.storm.calls import Call
from proving.storm.prober import INTERVAL, THRESHOLD, Prober

if TYPE_CHECKING:
    from proving.storm.world import World

STALE_READS = 0.2
"""The share of GETs that show what was a while ago, where they may."""
NOTICED_WITHIN = timedelta(seconds=INTERVAL * (THRESHOLD + 1))
REASONS = {AdminState.DOWN: "Down_Admin", AdminState.UP: "Up_Admin"}


class Balancer:
    """See the module. Methods named after a port's take a Call and answer it; the others are done to it."""

    def __init__(self, world: "World", pool: str) -> None:
        self._world, self._pool = world, pool
        self.names = names = world.service.names
        self.etag = 1
        self.control = dict.fromkeys(names, AdminState.NONE)  # members without an agent are found so
        self.data = dict.fromkeys(names, AdminState.NONE)
        self.members = self._due = set(names)
        self.listed = set(names)
        """The members of the pool in the data plane."""
        self._probers = {
            name: Prober(world.timeline, world.draw() * INTERVAL, partial(self.note, name)) for name in names
        }
        self._log: dict[str, list[tuple[float, str | None]]] = {name: [] for name in names}
        self._settled = dict.fromkeys(names, 0.0)
        """When the youngest accepted write of a member reaches the data plane: a later write never comes sooner."""
        self.foreign: set[str] = set()
        """Members whose adminState somebody else has written since our last write of it."""
        self.meddled: dict[str, int] = dict.fromkeys(world.bare, 0)
        """The same in the data plane: the number of somebody else's write, until a later one of ours has arrived there."""
        self._versions = [(-1e9, (self._etag(), self.control, self.members))]
        """Since when which etag, adminStates and members were there; a write that only raises the etag is none."""
        self._writes = 0
        self.down = False
        self.busy = False
        self.keeps_etag = False
        """Whether a write that changes nothing keeps the etag."""
        self.write_seconds = (1.0, 6.0)
        self.spread_seconds = (0.1, 4.0)
        self.lag = 0.0
        self.read_seconds = 0.0
        """How old what a GET shows may be."""
        self._seen = 0.0
        """What health has told never goes back in time, however stale it is."""
        self.silent = False
        self._fluttered = False
        self.unprobed: set[str] = set()
        """Members that the load balancer's probe does not reach."""

    # --- requests

    def read(self, call: Call) -> None:
        if not self._refused(call):
            etag, control, members = self._shown()
            there = (n for n in self.names if n in members)
            backends = {n: Backend(control[n], self._reason(n), self._address(n)) for n in there}
            seen = BalancerReading(etag, self._world.frontend, backends, NOTICED_WITHIN)
            call.answer(seen, self._world.draw() * 0.6)

    def look(self, call: Call, name: str) -> None:
        if not self._refused(call):
            etag, control, members = self._shown()
            call.answer(PoolView(etag, control[name] if name in members else None), self._world.draw() * 0.3)

    def bump(self, call: Call, etag: str) -> None:
        if self._refused(call):
            return
        if etag != self._etag() and not self._world.bugs.ignores_etag:
            call.answer(Superseded("the etag of the load balancer has changed"))
            return
        self.etag += 1
        call.answer(None, 1.0)

    def reason(self, call: Call, name: str) -> None:
        if self._world.bugs.flutters:
            self._fluttered = not self._fluttered
            call.answer("Up_Probe_Success" if self._fluttered else "Down_Probe_HttpStatusCodeError", 0.1)
        elif not self._refused(call):
            call.answer(self._reason(name), 0.5 + self._world.draw() * 2.0)

    def write(self, call: Call, name: str, state: AdminState, etag: str) -> None:
        """A conditional write: accepted, then succeeded or superseded, then (in its own time) in the data plane."""
        if self._refused(call):
            return
        if etag != self._etag() and not self._world.bugs.ignores_etag:
            call.answer(Superseded("412: the etag of the pool has changed"))
            return
        if name not in self.members:
            call.answer(Unavailable(f"{name} is not in the pool"))
            return
        self._world.checks.admin_written(name, state)
        self.foreign.discard(name)
        self._world.say("adminState of %s: %s accepted", name, state)
        before = self.members
        self._accept({name: state})
        if self._world.bugs.drops_members:
            self.members = {name}
        written = self.etag
        if state is AdminState.NONE and self._world.checks.is_put_back(name):
            self.meddled[name] = self._writes
        self._world.timeline.after(self._between(self.write_seconds), self._written, call, name, written, before)

    def _written(self, call: Call, name: str, etag: int, before: set[str]) -> None:
        if self.etag == etag:
            self._world.checks.pool_written(self.members, self._due)
        if self.etag != etag:
            call.answer(Superseded("409: the write was superseded"))
        elif self.members != before:
            call.answer(Terminal("the membership of the pool changed with the write"))
        else:
            call.answer(self._view(name))

    def _refused(self, call: Call) -> bool:
        if self.down:
            call.answer(Unavailable("ARM answers 503"), self._world.draw() * 2.0)
            return True
        if self.busy and self._world.draw() < 0.5:
            call.answer(Unavailable("ARM answers 429"), 0.1)
            return True
        return False

    def _shown(self) -> tuple[str, dict[str, AdminState], set[str]]:
        """The etag, every adminState and the members that a GET shows: now and then they are of a while ago."""
        if not self.read_seconds or self._world.draw() > STALE_READS:
            return self._etag(), self.control, self.members
        at = self._world.timeline.now - self._world.draw() * self.read_seconds
        return next(shown for since, shown in reversed(self._versions) if since <= at)

    def _view(self, name: str) -> PoolView:
        return PoolView(self._etag(), self.control[name], address=self._address(name))

    def _address(self, name: str) -> str:
        return f"/{self._pool}/{name}"

    def _etag(self) -> str:
        return f'W/"{self.etag}"'

    # --- what happens to it

    def fenced(self, name: str) -> str:
        """It was set to Down long ago, by us: where."""
        self.control[name] = self.data[name] = AdminState.DOWN
        self.meddled.pop(name, None)
        return self._address(name)

    def _accept(self, states: dict[str, AdminState]) -> None:
        changed = {name: state for name, state in states.items() if self.control[name] is not state}
        if changed or not self.keeps_etag:
            self.etag += 1
        self.control = self.control | changed
        self._note_version()
        self._writes += 1
        for name, state in states.items():
            self._world.timeline.after(self._arriving(name), self._spread, name, state, self._writes)

    def _note_version(self) -> None:
        self._versions.append((self._world.timeline.now, (self._etag(), self.control, self.members)))

    def _arriving(self, name: str) -> float:
        """How long a change of this member takes to the data plane."""
        now = self._world.timeline.now
        self._settled[name] = max(now + self._between(self.spread_seconds), self._settled[name] + 1e-3)
        return self._settled[name] - now

    def _spread(self, name: str, state: AdminState, number: int) -> None:
        if number > self.meddled.get(name, number):
            del self.meddled[name]
        bugs = self._world.bugs
        if (bugs.never_fences and state is AdminState.DOWN) or (bugs.never_lifts and state is AdminState.NONE):
            return
        nothing = bugs.fences_nothing or (bugs.fences_inside and self is not self._world.balancers[0])
        if nothing and state is AdminState.DOWN:
            self._log[name].append((self._world.timeline.now, REASONS[state]))
            return
        if self.data[name] is not state:
            self.data[name] = state
            self._world.say("adminState of %s: %s in the data plane", name, state)
            self.note(name)
            self._world.dirty = True

    def foreign_write(self, states: dict[str, AdminState]) -> None:
        """Somebody else's write of the pool, as it pleases them."""
        self.foreign |= states.keys()
        self.etag += 1
        self._accept(states)
        self.meddled |= dict.fromkeys(states, self._writes)

    def foreign_membership(self, members: set[str]) -> None:
        """Somebody else's write of who is in the pool. Whom it puts in has no adminState, whatever it had before."""
        changed, added = sorted(self.members ^ members), members - self.members
        self.members = self._due = members
        self.etag += 1
        self._note_version()
        if added:
            self.foreign_write(dict.fromkeys(sorted(added), AdminState.NONE))
        for name in changed:
            self._world.timeline.after(self._arriving(name), self._list, name, name in members)

    def _list(self, name: str, there: bool) -> None:
        self.listed = self.listed | {name} if there else self.listed - {name}
        self.note(name)

    # --- health

    def answers_changed(self, name: str) -> None:
        """A member answers its probe differently: seen after the next probes."""
        self._probers[name].answers(self._answers(name))

    def _answers(self, name: str) -> bool:
        return self._world.agents[name].will and name not in self.unprobed

    def begin(self) -> None:
        for name, prober in self._probers.items():
            prober.begin(self._answers(name))
            self.note(name)

    def admits(self, name: str) -> bool:
        """Whether it gives new flows to the member: by its probe's memory and adminState, whatever the member answers now."""
        state = self.data[name] if name in self.listed else AdminState.DOWN
        return state is AdminState.UP or (state is AdminState.NONE and self._probers[name].up)

    @property
    def passed(self) -> list[str]:
        """Members that it lists and whose adminState does not keep new flows from them, in the data plane."""
        return [name for name in self.names if name in self.listed and self.data[name] is not AdminState.DOWN]

    @property
    def held(self) -> set[str]:
        """Members that get no flows of it, in the data plane, and that no write under way brings back."""
        down = {n for n, state in self.data.items() if state is self.control[n] is AdminState.DOWN}
        return down | (self.data.keys() - self.listed - self.members)

    def note(self, name: str) -> None:
        """Keeps what the health action would say from now on; of one that is not in the pool nothing."""
        agent = self._world.agents[name]
        answers = agent.probe_listens and name not in self.unprobed
        down = "Down_Probe_HttpStatusCodeError" if answers else "Down_Probe_TcpProbeTimeout"
        up = FAILING if self._probers[name].fails else "Up_Probe_Success"
        probed = up if self._probers[name].up else down
        said = REASONS.get(self.data[name], probed) if name in self.listed else None
        self._log[name].append((self._world.timeline.now, said))
        self._world.dirty = True

    def _reason(self, name: str) -> str | None:
        if self.silent:
            return None
        self._seen = seen = max(self._seen, self._world.timeline.now - self.lag)
        log = self._log[name]
        for at, reason in reversed(log):
            if at <= seen:
                return reason
        return log[0][1]

    def _between(self, bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + (high - low) * self._world.draw()
