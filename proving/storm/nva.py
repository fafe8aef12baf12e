"""One simulated NVA: its agent's role, disk, boots and self-checks. The rules it obeys are the real agent's own (`role`).
`Bare` is one without an agent.

Not here: the network between agents (`gossip`), the way to the app (`ports`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from hopkeeper_agent import role as rules
from hopkeeper_agent.agent import BOOT_WINDOW_SECONDS
from hopkeeper_agent.state import unconfirmed

from function_app.domain.service.advertise import wanted
from function_app.domain.service.observation import AgentReading, AgentService, AgentStatus, PeerView, Role, Value
from function_app.domain.service.outward import wanted_outward
from function_app.domain.service.steps import (
    NOTHING_OUTWARD,
    Advertisement,
    OutwardRoutes,
    SendAdvertise,
    SendFence,
    SendOutward,
    SendPromote,
)
from function_app.reconcile.ports import AgentCommand, CommandAnswer
from proving.storm.calls import Call

if TYPE_CHECKING:
    from proving.storm.world import World

TOKEN_SECONDS = 35.0
"""A command's expiry and the leeway of an agent of version 1, which takes only FENCE beyond it; version 2 looks at no clock."""
OLDER_MAX = 6

ROLES = {rules.Role.SERVING: Role.SERVING, rules.Role.STANDBY: Role.STANDBY}


def on_disk(state: rules.ServiceState) -> rules.ServiceState:
    """What a disk has of it."""
    return replace(state, unconfirmed=False)


class Hang(IntEnum):
    """NO: alive. COMMANDS: commands and gossip stall, the probe still answers. ALL: the probe stalls too."""

    NO = 0
    COMMANDS = 1
    ALL = 2


class Nva:
    """See the module. Whatever changes what it answers ends in `settle`, which tells the world."""

    __slots__ = (
        "advertised", "advertised_turn", "boot", "claimed", "clock", "disk_broken", "disk_seconds", "durable", "fatal", "heard",
        "hung", "maintenance", "name", "older", "outage_seconds", "outward", "outward_turn", "parked", "peers",
        "probe_open", "refuses", "rekeyed", "restored", "restored_to", "sessions", "state", "tears", "uncontradicted", "up",
        "waiting", "will", "world", "writing",
    )  # fmt: skip

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.up = True
        self.probe_open = True
        self.hung = Hang.NO
        self.boot = 0
        self.state = self.durable = rules.ServiceState()
        self.older: list[rules.ServiceState] = []
        self.fatal: tuple[str, ...] = ()
        self.sessions = True
        self.refuses = False
        """It takes no ADVERTISE, as its speaker is not there."""
        self.maintenance: str | None = None
        self.heard = 0
        self.clock = 0.0
        """By how many seconds it is off."""
        self.claimed = 0
        """The highest epoch that the heartbeats of its peers claimed since it booted."""
        self.rekeyed = False
        """Its public keys of the app are older than a rotation: it refuses what the app signs now."""
        self.restored = False
        """It boots, or serves, by a disk from before its last command, and was sent none since."""
        self.restored_to: tuple[rules.Turn, rules.Role] | None = None
        """What a disk that was put back holds: what was taken since and is not durable is gone with the next boot."""
        self.uncontradicted = False
        """When its boot window ended, it heard no peer of a higher epoch."""
        self.peers: dict[str, PeerView] = {}
        self.advertised: tuple[Advertisement, ...] | None = None
        self.advertised_turn = (0, 0)
        self.outward: OutwardRoutes = NOTHING_OUTWARD
        self.outward_turn = (0, 0)
        self.disk_broken = False
        self.disk_seconds = 0.0
        self.tears = False
        """The next role command finds the power gone between memory and disk, for `outage_seconds`."""
        self.outage_seconds = 0.0
        self.parked: list[tuple[Call, AgentCommand, float]] = []
        self.waiting: deque[tuple[Call | None, Callable[[Call | None], None]]] = deque()
        """Who waits for the disk; `writing` says that somebody has it."""
        self.writing = False
        self.will = False

    @property
    def boot_id(self) -> str:
        return f"{self.name}-{self.boot}"

    @property
    def talks(self) -> bool:
        """Whether commands and heartbeats are dealt with."""
        return self.up and self.hung is Hang.NO

    @property
    def probe_listens(self) -> bool:
        return self.up and self.probe_open and self.hung is not Hang.ALL

    def settle(self) -> None:
        """Works out anew whether the probe answers 200, and lets the world know of any change."""
        self.will = self.probe_listens and rules.answers(self.state, self.unfit)
        self.world.changed(self)

    @property
    def unfit(self) -> tuple[str, ...]:
        """Why it answers 503 whatever its role: not for what every peer fails, too, while it serves."""
        if not self.fatal or self.state.role is not rules.Role.SERVING or not self.peers:
            return self.fatal
        agents = self.world.agents
        alike = (view.gossip is Value.OK and agents[name].fatal for name, view in self.peers.items())
        return () if all(alike) else self.fatal

    @property
    def is_serving(self) -> bool:
        """Whether it serves, or would after a boot, without another word from anybody."""
        return rules.Role.SERVING in (self.state.role, self.durable.role)

    def reading(self) -> AgentReading:
        """Its signed answer as it stands now."""
        state, world = self.state, self.world
        mine = AgentService(
            state.turn.epoch,
            state.turn.seq,
            ROLES[state.role],
            self.probe_open and self.will,
            self.advertised,
            self.heard,
            self.advertised_turn,
            outward=self.outward,
            outward_turn=self.outward_turn,
            warranted=max(state.turn.epoch, self.heard),
            durable=world.bugs.never_saves or (state.turn, state.role) == (self.durable.turn, self.durable.role),
            unconfirmed=state.unconfirmed,
        )
        sessions = world.session_views[self.sessions]
        return AgentStatus(
            self.boot_id,
            world.epoch + timedelta(seconds=self.clock),
            {world.service.name: mine},
            self.unfit,
            world.gossip.views(self),
            sessions,
            "storm",
            self.maintenance,
        )

    # --- commands

    def obey(self, call: Call, command: AgentCommand, issued: float) -> None:
        """A command has arrived. Answers through `call` once it is obeyed, if ever."""
        if self.rekeyed:
            call.expire()
        elif not self.talks:
            self.parked.append((call, command, issued))
            call.expire()
        elif isinstance(command, SendAdvertise):
            call.answer(CommandAnswer(self.reading(), self._advertise(command)))
        elif isinstance(command, SendOutward):
            call.answer(CommandAnswer(self.reading(), self._announce_outward(command)))
        elif self.tears:
            self._tear(command, issued)
            call.expire()
        elif isinstance(command, SendFence):
            self._fence(call, command)
        elif self.world.bugs.ignores_promotes:
            call.answer(CommandAnswer(self.reading()))
        else:
            self._promote(call, command, issued)

    def _advertise(self, command: SendAdvertise) -> str | None:
        """Why it is refused: a number that is older, or that was used for another set (`hopkeeper_agent.role.advertise`)."""
        turn = (command.epoch, command.seq)
        if self.refuses:
            return "the speaker is not running"
        if turn < self.advertised_turn or (turn == self.advertised_turn and command.advertisements != self.advertised):
            return "already accepted a newer one"
        self.advertised, self.advertised_turn = command.advertisements, turn
        return None

    def _announce_outward(self, command: SendOutward) -> str | None:
        turn = (command.epoch, command.seq)
        if turn < self.outward_turn or (turn == self.outward_turn and command.routes != self.outward):
            return "already accepted a newer one"
        if not self.world.bugs.ignores_outward:
            self.outward, self.outward_turn = command.routes, turn
        return None

    def _fence(self, call: Call, command: SendFence) -> None:
        """In effect first, durable next, acknowledged last."""
        order = self._fence_order(command)
        verdict = rules.fence(order, self.state)
        if self.world.bugs.obeys_anything:
            verdict = rules.Accepted(replace(self.state, turn=order.turn, role=rules.Role.STANDBY))
        if isinstance(verdict, rules.Refused):
            call.answer(CommandAnswer(self.reading(), verdict.reason))
            return
        self._take(verdict.state)
        self._queue(call, self._save)

    def would_obey_promote(self, epoch: int, seq: int) -> bool:
        """Whether one that is still on its way may yet make it serve, by the highest number that any of that epoch has."""
        return self.state.turn < rules.Turn(epoch, seq)

    def _promote(self, call: Call, command: SendPromote, issued: float) -> None:
        """Durable first, then in effect."""
        verdict = self._judge(command, issued)
        if isinstance(verdict, rules.Refused):
            call.answer(CommandAnswer(self.reading(), verdict.reason))
        else:
            self._queue(call, partial(self._grant, command, issued))

    def _judge(self, command: SendPromote, issued: float) -> rules.Accepted | rules.Refused:
        if self.world.tokens_expire and self.world.timeline.now + self.clock - issued > TOKEN_SECONDS:
            return rules.Refused("expired")
        return rules.promote(self._promote_order(command), self.state, self.boot_id, self.heard)

    def _grant(self, command: SendPromote, issued: float, call: Call | None) -> None:
        """Its turn at the disk has come, which may have taken a while."""
        verdict = self._judge(command, issued)
        if isinstance(verdict, rules.Refused):
            self._wrote(call, verdict.reason)
        else:
            self._write(verdict.state, call, partial(self._promoted, command))

    def _promoted(self, command: SendPromote, call: Call | None) -> None:
        """The loop went on while the disk wrote: a fence or a newer peer may have come, and they count first."""
        order = self._promote_order(command)
        verdict = rules.promote(order, self.state, self.boot_id, self.heard)
        if isinstance(verdict, rules.Accepted):
            self._take(verdict.state)
            self._wrote(call)
            return
        if self.state.turn < order.turn:
            self._take(replace(self.state, turn=order.turn, role=rules.Role.STANDBY))
        self._write(self.state, call, lambda later: self._wrote(later, verdict.reason))

    # --- the disk: one write at a time, in order

    def _queue(self, call: Call | None, job: Callable[[Call | None], None]) -> None:
        self.waiting.append((call, job))
        if not self.writing:
            self._next_write()

    def _next_write(self) -> None:
        self.writing = bool(self.waiting)
        if self.writing:
            call, job = self.waiting.popleft()
            job(call)

    def _save(self, call: Call | None) -> None:
        """What is in effect becomes durable, whatever it is by now."""
        if self.durable == on_disk(self.state):
            self._wrote(call)
        else:
            self._write(self.state, call, self._wrote)

    def _write(self, state: rules.ServiceState, call: Call | None, then: Callable[[Call | None], None]) -> None:
        if self.disk_broken:
            self._wrote(call, "state cannot be made durable")
        elif self.disk_seconds:
            self.world.timeline.after(self.disk_seconds, self._on_disk, self.boot, state, call, then)
        else:
            self._on_disk(self.boot, state, call, then)

    def _on_disk(
        self, boot: int, state: rules.ServiceState, call: Call | None, then: Callable[[Call | None], None]
    ) -> None:
        if boot == self.boot and self.up:
            if not self.world.bugs.never_saves:
                self._persist(state)
            then(call)
        elif call is not None:
            call.expire()

    def _wrote(self, call: Call | None, refused: str | None = None) -> None:
        """The write is over, or was not made: answers, and lets the next one come."""
        if call is not None:
            call.answer(CommandAnswer(self.reading(), refused))
        self._next_write()

    def _fence_order(self, command: SendFence) -> rules.Fence:
        return rules.Fence(self.world.service.name, rules.Turn(command.epoch, command.seq))

    def _promote_order(self, command: SendPromote) -> rules.Promote:
        return rules.Promote(self.world.service.name, rules.Turn(command.epoch, command.seq), command.boot_id)

    def _tear(self, command: SendFence | SendPromote, issued: float) -> None:
        """A fence in effect that is not durable yet, or a promotion that is durable and not in effect; then darkness."""
        self.tears = False
        if isinstance(command, SendFence):
            verdict = rules.fence(self._fence_order(command), self.state)
            if isinstance(verdict, rules.Accepted):
                self._take(verdict.state)
        else:
            verdict = self._judge(command, issued)
            if isinstance(verdict, rules.Accepted):
                self._persist(verdict.state)
        self.world.checks.suspect(self.name, self.outage_seconds + 30.0)
        self.crash()
        self.world.timeline.after(self.outage_seconds, self._start_after, self.boot)

    def _start_after(self, boot: int) -> None:
        """Ends the outage that ended this boot: meanwhile it may have been healed, and lost for ever."""
        if self.boot == boot:
            self.start()

    # --- state

    def hear(self, epoch: int) -> None:
        """An authentic peer proves that the service has come to `epoch` without us: by what the app signed."""
        if self.rekeyed:
            return
        if epoch > self.heard:
            self.heard = epoch
        reduced = rules.outranked(self.state, epoch)
        if reduced is not self.state:
            self._take(reduced)
            self._queue(None, self._save)

    def _take(self, state: rules.ServiceState) -> None:
        if state != self.state:
            if state.turn < self.state.turn:
                self.world.checks.broken("S13", f"{self.name} went back from {self.state.turn} to {state.turn}")
            self.state, self.restored = state, False
            self.world.say("%s is %s at %d.%d", self.name, state.role, state.turn.epoch, state.turn.seq)
            self.settle()
            self.world.gossip.tell(self)

    def _persist(self, state: rules.ServiceState) -> None:
        state = on_disk(state)
        if state != self.durable:
            self.older.append(self.durable)
            del self.older[:-OLDER_MAX]
            self.durable = state

    # --- life

    def crash(self) -> None:
        """Power off: what was only in memory is gone."""
        if self.up:
            self.world.say("%s goes dark", self.name)
            self.up = self.probe_open = False
            self.hung = Hang.NO
            self.parked.clear()
            for call, _ in self.waiting:
                if call is not None:
                    call.expire()
            self.waiting.clear()
            self.writing = False
            self.settle()
            self.world.gossip.relink()

    def start(self, lost: int = 0, boots: bool = True) -> None:
        """Starts with the role it had, to be confirmed where the machine boots. `lost`: the disk is another one (-1), or this
        many writes older."""
        if self.up:
            return
        newest = self.durable
        if lost < 0:
            self.durable = rules.ServiceState()
            self.advertised, self.advertised_turn = None, (0, 0)
            self.outward, self.outward_turn = NOTHING_OUTWARD, (0, 0)
        elif lost:
            self.durable = replace(self.older[-min(lost, len(self.older))] if self.older else self.durable)
        if self.durable != newest:
            self.restored_to = self.durable.turn, self.durable.role
        self.restored = self.restored or self.restored_to == (self.durable.turn, self.durable.role)
        self.uncontradicted = False
        if (boots or self.state.unconfirmed) and not self.world.bugs.believes_disks:
            self.state = unconfirmed({self.name: self.durable})[self.name]
        else:
            self.state = self.durable
        if self.world.bugs.boots_serving:
            self.state = replace(self.durable, role=rules.Role.SERVING)
        if self.state.role is not self.durable.role:
            self.world.checks.broken("S15", f"{self.name} boots as {self.state.role}, and nobody told it to")
        self.up, self.boot, self.heard, self.claimed, self.tears = True, self.boot + 1, 0, 0, False
        self.world.say("%s boots as %s at %d", self.name, self.state.role, self.state.turn.epoch)
        self.settle()
        self.world.gossip.booted(self)
        self.world.timeline.after(self.world.gossip.window, self._open_probe, self.boot)

    def _open_probe(self, boot: int) -> None:
        if boot == self.boot and self.up:
            self.probe_open = True
            self.settle()
            self.world.gossip.relink()
            self.world.report(self, "start-up")
            self.world.timeline.after(BOOT_WINDOW_SECONDS, self._believe, boot)

    def _believe(self, boot: int) -> None:
        """The boot window is over."""
        if boot != self.boot or not self.up:
            return
        self.uncontradicted = not self.world.gossip.knows_better(self)
        self.state = rules.believed(self.state, self.claimed)
        self.settle()

    def mend_disk(self) -> None:
        """Writes succeed again, and what is in effect becomes durable with the next one, which is now."""
        self.disk_broken, self.disk_seconds = False, 0.0
        if self.up:
            self._queue(None, self._save)

    def hang(self, how: Hang) -> None:
        self.hung = how
        self.settle()
        self.world.gossip.relink()

    def wake(self) -> None:
        """Goes on with what was sent meanwhile."""
        if self.hung is Hang.NO:
            return
        self.hung = Hang.NO
        self.settle()
        self.world.gossip.relink()
        parked, self.parked = self.parked, []
        for call, command, issued in parked:
            self.obey(call, command, issued)


class Bare(Nva):
    """It answers its probe whenever it is well, and announces the service by its own configuration. For the laws it is one that
    was granted the service for ever; whatever befalls agents alone (disks, commands, gossip, reports) does not concern it."""

    __slots__ = ()

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.state = self.durable = rules.ServiceState(rules.Turn(0, 0), rules.Role.SERVING)
        self.advertised, self.outward = wanted(world.service, world.frontend), wanted_outward(world.service)
        self.will = True

    @property
    def unfit(self) -> tuple[str, ...]:
        return self.fatal

    def would_obey_promote(self, epoch: int, seq: int) -> bool:
        return False

    def crash(self) -> None:
        if self.up:
            self.world.say("%s goes dark", self.name)
            self.up, self.hung = False, Hang.NO
            self.settle()

    def start(self, lost: int = 0, boots: bool = True) -> None:
        if not self.up:
            self.world.say("%s boots", self.name)
            self.up = True
            self.settle()

    def mend_disk(self) -> None:
        pass
