"""The laws of safety.md section 6, kept over one history: what may never be, looked at after every event.

State laws (S1-S4, S6) are looked at when something they are about has changed, which comes to the same. Laws about acts
(S5, S7-S15) are kept where the act arrives or leaves, S16 in `pure`. This world shows only a part of S13 (a turn that
goes back; the agents' rules are the real ones, signatures are tested elsewhere), of S14 (the port offers no other write
than of one member's adminState) and of S15 (no host, no command: what is left is an agent that boots as something
else). S17 is tested elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hopkeeper_agent.role import Role

from function_app.domain.peerings.model import Provisioning
from function_app.domain.service.advertise import wanted
from function_app.domain.service.observation import AdminState
from function_app.domain.service.record import SCHEMA, Operation, Phase, Record
from function_app.domain.service.steps import SendAdvertise, SendFence, SendOutward, SendPromote
from function_app.domain.topology.model import Handover, Mode
from function_app.domain.topology.peering_names import is_ours
from function_app.reconcile.ports import AgentCommand

if TYPE_CHECKING:
    from proving.storm.nva import Nva
    from proving.storm.world import World

PEERS_MAX = 8
ORDERED = frozenset({"switchover", "back to the old holder", "failover by hand"})
"""Kinds of operation that an operator asked for."""
LOOK_SECONDS = 60.0
"""How old a look may be when a healthy holder is replaced for what it showed (`stale is UNKNOWN`)."""
OPERATOR_SECONDS = 150.0
"""For how long an operator's Down may be shown once it is over: by readings that are late, then by health that is."""
BY_OPERATOR = "an operator set its adminState to Down"
SETTLED = (Phase.GRANTED, Phase.STABLE)


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that was broken: which, when (seconds into the history), and how."""

    law: str
    at: float
    text: str


class Checks:
    """See the module. The first violation ends a history."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.violation: Violation | None = None
        self.error: BaseException | None = None
        self.quiet = False
        """Nothing that happens in this history is a reason to move the service (L5)."""
        self.grace = 60.0
        """How long after its cause an action may still come: hosts pause, messages are late."""
        self.openings = 0
        self.promotions: list[tuple[datetime, int, str]] = []
        """When who was granted which epoch."""
        self.record_lost = False
        """Somebody deleted, spoilt or put back the record: what was owed in it is nobody's now."""
        self._lawless = False
        """The record was put back to an older one (finding 2), and is not sound again yet: whoever could tell may be
        silent, dark or cut off as long as it likes, and two may serve meanwhile."""
        self._sharing: frozenset[str] = frozenset()
        """The two that serve on purpose, from the record that says so until the next grant."""
        self._granted: dict[tuple[int, str], str] = {}
        """Each epoch with whom it was granted to, and the boot that a PROMOTE of it would name."""
        self._opened: dict[int, tuple[str, str]] = {}
        self._epochs: dict[int, int] = {}
        """Each epoch with the highest number that a PROMOTE of it may have."""
        self._owed: set[str] = set()
        self._suspect: dict[str, float] = {}
        self._taken_out: dict[str, float] = {}
        """Until when an operator took a member out of the pool, or health said nothing that would tell."""
        self.forgotten: set[str] = set()
        """Members that an operator had forgotten: Down, and not on record."""

    def broken(self, law: str, text: str, error: BaseException | None = None) -> None:
        if self.violation is None:
            self.violation = Violation(law, self._world.timeline.now, text)
            self.error = error
            self._world.say("%s is broken: %s", law, text)

    # --- what is

    def look(self) -> None:
        """S1-S4 and S6, over the world as it is now.

        S1 and S4 let those off whose adminState in the data plane may be somebody else's: from a foreign write until a
        later one of ours has arrived there. Nothing that ARM shows tells which of two writes has, so no proof can.
        S4 lets off who stands by, on disk, from a fence that a put-back record believes in: it was lifted for that.
        S1 and S3 let off a machine with a restored disk to which nothing came within its boot window, until something does
        (fail static): the load balancer shows it, and then it is fenced, which `history` demands in time.
        """
        world = self._world
        world.dirty = False
        record = world.documents.record
        serving = [agent for agent in world.agents.values() if agent.will]
        for agent in serving:
            if agent.durable.role is not Role.SERVING:
                self.broken("S6", f"{agent.name} answers 200 and its disk says {agent.durable.role}")
        self._lawless = self._lawless and (record is None or not self._is_sound(record))
        if self._lawless:
            return
        self._look_at_flows(serving)
        if record is not None:
            self._look_at_record(record, serving)
        if world.edits is not None:
            world.edits.look()

    def _look_at_flows(self, serving: list["Nva"]) -> None:
        """S1: of what members answer, but for two that share on purpose, and by `handover` of what the load balancer admits."""
        world = self._world
        if world.service.mode is Mode.ACTIVE_ACTIVE:
            self._look_at_least()
            return
        eligible = [agent.name for agent in serving if world.lets_pass(agent.name)]
        if len(eligible) > 1 and not self._excused & set(eligible) and not set(eligible) <= self._sharing:
            self.broken("S1", f"{' and '.join(eligible)} are eligible at once")
        if world.service.handover is not Handover.PROMPT:
            self._look_at_handover()

    def _look_at_least(self) -> None:
        """S21: where nothing happens to an active-active service but what we do, `minHealthy` members serve, or are admitted:
        what lasts for less than the load balancer's probe takes from nobody."""
        world = self._world
        admitted = [name for name in world.service.names if world.admits(name) or world.agents[name].will]
        if self.quiet and len(admitted) < (world.service.min_healthy or 1):
            self.broken("S21", f"only {admitted} serve, and nothing happened but drains")

    def _look_at_handover(self) -> None:
        """S1 and S20, of what the load balancer admits."""
        world, handover = self._world, self._world.service.handover
        by_each = [[name for name in balancer.names if balancer.admits(name)] for balancer in world.balancers]
        admitted = {name for names in by_each for name in names}
        if handover is Handover.EXCLUSIVE and len(admitted) > 1 and not self._excused & admitted:
            self.broken("S1", f"{' and '.join(sorted(admitted))} are admitted at once")
        if handover is Handover.SEAMLESS and self.quiet and [] in by_each:
            self.broken("S20", "the load balancer admits nobody, and nothing happened but planned moves")

    @property
    def _excused(self) -> set[str]:
        """Members whose adminState may be another owner's, and those with a restored disk that were left alone with it."""
        restored = {agent.name for agent in self._world.agents.values() if agent.restored and agent.uncontradicted}
        return restored | self._world.meddled

    def _look_at_record(self, record: Record, serving: list["Nva"]) -> None:
        """S2, S3 and S4."""
        world = self._world
        for agent in serving:
            if agent.name not in record.may_serve and not self._has_left(agent.name, record):
                self.broken("S3", f"{agent.name} answers 200 and is not in may_serve")
        if self._is_exclusive(record) and len(record.may_serve - record.fenced.keys()) > 1:
            self.broken("S2", f"{sorted(record.may_serve - record.fenced.keys())} may serve unfenced")
        for name in record.fenced:
            excused = name in world.meddled or (self.record_lost and not world.agents[name].is_serving)
            if world.lets_pass(name) and not excused:
                self.broken("S4", f"{name} is believed fenced and is not Down in the data plane")

    def _is_exclusive(self, record: Record) -> bool:
        settled = record.phase in SETTLED and record.leaving is None
        return settled and self._world.service.mode is Mode.ACTIVE_PASSIVE

    def _has_left(self, name: str, record: Record) -> bool:
        """Whether the record need not know it: the service was released; or it, or the service with it, left as Down, which
        without an agent is all that there is to leave; or it is a restored machine that was left alone."""
        agent, leaving = self._world.agents[name], record.leaving
        if agent.restored and agent.uncontradicted:
            return True
        if leaving is not None and leaving.done and leaving.how == "released":
            return True
        down = not self._world.lets_pass(name)
        return down and (name in self.forgotten | self._world.bare or (leaving is not None and leaving.done))

    # --- what is written

    def began(self, record: Record) -> None:
        """The record a history begins with counts as written."""
        self._note(record)

    def record_written(self, before: Record | None, record: Record, decided: tuple[float, float]) -> None:
        """`decided`: when its pass had looked, and when it sent this write."""
        self._world.say("%s", _line(record))
        if before is not None and record.epoch < before.epoch:
            self.broken("S5", f"the record's epoch fell from {before.epoch} to {record.epoch}")
        if before is not None and before.schema > SCHEMA:
            self.broken("S11", f"a record of schema {before.schema} is written over: {_line(record)}")
        granted = before is not None and before.phase is Phase.GRANTED and before.epoch == record.epoch
        if record.phase is Phase.GRANTED and record.target and not granted:
            self.promotions.append((self._world.now(), record.epoch, record.target))
        if record.operation is not None and record.target is not None:
            self._operation_written(before, record, (record.target, record.operation.kind), decided)
        self._note(record)

    def _operation_written(
        self, before: Record | None, record: Record, what: tuple[str, str], decided: tuple[float, float]
    ) -> None:
        """`what`: target and kind of the operation, which an epoch keeps."""
        known = self._opened.get(record.epoch)
        if known is not None and known != what:
            self.broken("S12", f"epoch {record.epoch} was {known}, is {what[0]}: {what[1]}")
        if known is None and record.phase is Phase.FENCING:
            self._opening(before, record, decided)

    def _is_sound(self, record: Record) -> bool:
        """Whether it knows everyone who serves, would boot as serving, or may still be reached by a PROMOTE of before,
        and all of them but one are Down; a fence that it believes in is one that is there, and nobody takes back."""
        down = set.intersection(*(balancer.held for balancer in self._world.balancers))
        known = record.may_serve - (record.fenced.keys() - down)
        serving = {agent.name for agent in self._world.agents.values() if self._may_serve(agent)}
        together = len(serving - down) <= 1 or self._world.service.mode is Mode.ACTIVE_ACTIVE
        return serving <= known and together

    def _may_serve(self, agent: "Nva") -> bool:
        granted = (
            epoch for (epoch, name), boot in self._granted.items() if (name, boot) == (agent.name, agent.boot_id)
        )
        return agent.is_serving or any(agent.would_obey_promote(epoch, self._epochs[epoch]) for epoch in granted)

    def _note(self, record: Record) -> None:
        self._epochs[record.epoch] = max(record.seq, self._epochs.get(record.epoch, 0))
        if record.target is not None and record.operation is not None:
            self._opened[record.epoch] = (record.target, record.operation.kind)
        for name in _granted_to(record):
            self._granted[record.epoch, name] = self._world.agents[name].boot_id
        if record.is_shared:
            self._sharing = _granted_to(record)
        elif record.phase in SETTLED:
            self._sharing = frozenset()
        self._owed.update(record.owed)

    def _opening(self, before: Record | None, record: Record, decided: tuple[float, float]) -> None:
        """S8 and L5: a healthy, eligible holder stays, unless somebody who may says otherwise.

        What counts is what was known when the pass looked, and that it had looked lately when it sent the write: a
        write that arrives late arrives by compare-and-swap, and nobody can help that.
        """
        self.openings += 1
        if before is None or before.phase not in SETTLED or before.target in (None, record.target):
            return
        operation = record.operation
        if operation is None or (operation.kind in ORDERED and not self._is_of_our_own(operation)):
            return
        holder, law = before.target or "", "L5" if self.quiet else "S8"
        looked, sent = decided
        if self._is_imagined(operation.reason, holder, looked):
            self.broken(law, f"{holder} was replaced for a Down that no operator set: {operation.reason}")
        elif self._is_without_reason(operation.reason, before, looked):
            self.broken(law, f"{holder} was replaced for no reason: {operation.reason}")
        elif sent - looked > LOOK_SECONDS:
            self.broken(law, f"{holder} was replaced on a look {sent - looked:.0f} s old: {operation.reason}")

    def _is_imagined(self, reason: str, name: str, looked: float) -> bool:
        """Whether it names an operator's Down, none stood lately, and none of ours became an operator's business."""
        stood = self.record_lost or self._taken_out.get(name, -1e9) + OPERATOR_SECONDS > looked
        return BY_OPERATOR in reason and not stood

    def _is_without_reason(self, reason: str, before: Record, looked: float) -> bool:
        """It serves, nothing befell it lately, nor does it name the Down of a member that was forgotten: an operator's business
        since, or a drain on record, however late the host came to it. From one that stands by, as a planned move that went back
        had fenced it, no flow is taken."""
        name = before.target or ""
        if name in before.drains and reason.startswith(f"{name} is drained"):
            return False
        is_left_down = BY_OPERATOR in reason and name in self.forgotten
        serves = name in self._world.bare or self._world.agents[name].is_serving
        return serves and not is_left_down and self._suspect.get(name, -1e9) + self.grace < looked

    def taken_out(self, name: str, seconds: float) -> None:
        """From now on, for `seconds`, an operator's Down of the member may be seen, or nothing tells whose a Down is."""
        self._taken_out[name] = max(self._taken_out.get(name, 0.0), self._world.timeline.now + seconds)

    def _is_of_our_own(self, planned: Operation) -> bool:
        """Whether this switchover is one that nobody ordered, and no return that the document asks for."""
        returns = self._world.service.failover.preempt == "ready" and " returns: " in planned.reason
        return planned.kind == "switchover" and not returns and not planned.reason.startswith("ordered by")

    def suspect(self, name: str, seconds: float) -> None:
        """From now on, for `seconds`, there is a reason to take the service from this member."""
        self._suspect[name] = max(self._suspect.get(name, 0.0), self._world.timeline.now + seconds)

    def record_replaced(self, lawless: bool) -> None:
        """Somebody else wrote, or removed, the record: what was learned from it counts no more."""
        self._opened.clear()
        self.record_lost = True
        self._lawless = self._lawless or lawless
        for name in self._world.agents:
            self.suspect(name, 200.0)

    # --- what is done

    def commanded(self, command: AgentCommand, record: Record | None, now: datetime) -> None:
        """S7 and S11 where a command leaves: its pass must have written the intent and may not be learning or paused."""
        if record is None:
            self.broken("S7", f"{command} is sent without a record")
            return
        self._permitted(str(command), record, now)
        if isinstance(command, SendAdvertise):
            return
        if command.epoch != record.epoch:
            self.broken("S7", f"{command} is sent at epoch {record.epoch}")
        if isinstance(command, SendOutward) and record.phase is not Phase.STABLE and record.leaving is None:
            self.broken("S7", f"{command} is sent while {_line(record)}")
        if isinstance(command, SendPromote):
            if (command.epoch, command.member) in self._granted:
                self._granted[command.epoch, command.member] = command.boot_id
            if command.member not in _granted_to(record):
                self.broken("S7", f"{command} is sent while {_line(record)}")

    def arrived(self, name: str, command: AgentCommand) -> None:
        """S7 where it arrives, however late."""
        self._world.say("%s gets %s", name, command)
        if isinstance(command, SendPromote) and (command.epoch, name) not in self._granted:
            self.broken("S7", f"{command} arrives and was never granted")
        if isinstance(command, SendFence) and command.epoch not in self._epochs:
            self.broken("S7", f"{command} arrives and was never opened")
        if isinstance(command, SendAdvertise) and self._is_undeclared(command):
            self.broken("S21", f"{command} arrives, and the document does not say so")

    def _is_undeclared(self, command: SendAdvertise) -> bool:
        """Whether it announces anything else than the prefixes by the frontend, of a document that nobody edits."""
        world = self._world
        declared = wanted(world.service, world.frontend)
        return world.edits is None and command.advertisements != declared and world.service.naming is None

    def writing(self, name: str, state: AdminState, record: Record | None, now: datetime) -> None:
        """S7, S9, S11 and R6 where a write of adminState leaves."""
        if record is None:
            self.broken("S7", f"adminState {state} of {name} is written without a record")
            return
        self._permitted(f"adminState {state} of {name}", record, now)
        if state is AdminState.UP:
            self.broken("S9", f"Up is written for {name}")
        if state is AdminState.DOWN and not self._may_be_fenced(name, record):
            self.broken("S7", f"Down is written for {name} while {_line(record)}")
        believed = record.may_serve - {record.target} if not self.is_put_back(name) else frozenset[str]()
        if state is AdminState.NONE and (name in record.fenced or name in believed):
            self.broken("S7", f"None is written for {name} while {_line(record)}")

    def _may_be_fenced(self, name: str, record: Record) -> bool:
        rehearsed = record.phase is Phase.STABLE and name not in record.may_serve
        # Whether an operator's Down still is beside it is known once the write is accepted (`admin_written`).
        owed = name in record.owed or name in self._world.bare
        return owed and (record.phase is Phase.FENCING or rehearsed)

    def _permitted(self, what: str, record: Record, now: datetime) -> None:
        released = (
            record.leaving is not None and record.leaving.how == "released"
        )  # what is ours is put back, whoever serves
        if record.phase is Phase.LEARN and not released:
            self.broken("S11", f"{what} while learning")
        if record.pause is not None and now < record.pause.until:
            self.broken("S11", f"{what} while paused")

    def is_put_back(self, name: str) -> bool:
        """Whether its service is released, and it has no agent: who gets new flows is the operator's business then."""
        record = self._world.documents.record
        released = record is not None and record.leaving is not None and record.leaving.how == "released"
        return released and name in self._world.bare

    def _is_taken_out(self, name: str) -> bool:
        """Whether it is Down already and has no agent: an operator's Down is owed by nobody, and fenced all the same."""
        balancers = self._world.balancers
        return name in self._world.bare and any(balancer.control[name] is AdminState.DOWN for balancer in balancers)

    def admin_written(self, name: str, state: AdminState) -> None:
        if state is AdminState.DOWN and name not in self._owed and not self._is_taken_out(name):
            self.broken("S7", f"Down is written for {name}, which was never owed")

    def pool_written(self, members: set[str], due: set[str]) -> None:
        """S14: nobody wrote since, so the pool holds whom it should: the topology's members, or what a foreign write left."""
        if members != due:
            self.broken("S14", f"the pool holds {sorted(members)} after a write, and should hold {sorted(due)}")

    def peering_created(self, name: str, there: int) -> None:
        if name not in self._world.route_server.peerings and there >= PEERS_MAX:
            self.broken("S10", f"{name} would be the {there + 1}th peering")

    def peering_deleted(self, name: str) -> None:
        """None foreign, and not the last announcer."""
        topology = self._world.topology.name
        if not is_ours(name, topology):
            self.broken("S10", f"{name} is not ours")
        others = [
            p
            for p in self._world.route_server.peerings.values()
            if p.name != name and is_ours(p.name, topology) and p.state is Provisioning.SUCCEEDED
        ]
        if not others:
            self.broken("S10", f"{name} was the last announcer")


def _granted_to(record: Record) -> frozenset[str]:
    """Whom a record permits to be promoted at its epoch: the target once it is granted, the two that share, or all of an
    active-active service."""
    previous = record.operation.previous if record.operation else None
    if record.target is None:
        return record.may_serve if record.phase is Phase.STABLE else frozenset()
    if record.is_shared:
        return record.may_serve & {record.target, previous}
    return record.may_serve & {record.target} if record.phase in SETTLED else frozenset()


def _line(record: Record) -> str:
    may = ",".join(sorted(record.may_serve))
    fenced, owed = ",".join(sorted(record.fenced)), ",".join(sorted(record.owed))
    what = f"{record.operation.kind}: {record.operation.reason}" if record.operation else ""
    return f"record {record.phase} {record.epoch} {record.target} may={may} fenced={fenced} owed={owed} {what}"
