"""The laws of safety.md section 6 that can be seen from outside: S1-S6, S9, S14, over one history on the wire.

What is looked at is the thing itself: the stored record, ARM's document, the simulated data plane, the agents' probes.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from hopkeeper_agent.role import Role

from function_app.domain.service.record import Phase, Record
from function_app.reconcile.store import keys
from lab.kit.virtual import virtual_loop
from proving.storm.checks import Violation
from proving.storm.wire.place import POOL, SERVICE, TOPOLOGY
from simulator.resources import Json

if TYPE_CHECKING:
    from proving.storm.wire.world import World

SETTLED = (Phase.GRANTED, Phase.STABLE)
NONE, UP, DOWN = "None", "Up", "Down"


class Checks:
    """`look` after every callback: cheap where nothing has changed. The first violation ends a history."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._stage = world.stage
        self._loop = virtual_loop()
        self._began = self._loop.time()
        self.violation: Violation | None = None
        self.changed = asyncio.Event()
        """Set at every change; whoever waits clears it."""
        self.events = 0
        """Changes of what is looked at, after each of which the laws were."""
        self.record: Record | None = None
        self.control: Mapping[str, str] = {}
        """adminState by member, as ARM shows it."""
        self.data: Mapping[str, str] = {}
        """The same where packets go."""
        self.will: tuple[str, ...] = ()
        """Members whose probe answers 200."""
        self.died: list[BaseException] = []
        """What invocations died of, on hosts that live or not."""
        self._stored: bytes | None = None
        self._etag = ""
        self._writes: dict[str, int] = {}
        self._plane = -1
        self._foreign: set[str] = set()
        self._lifted: dict[str, int | None] = {}
        """Members lifted by an operator, and the number of our later Down, which ends that where packets go."""

    def now(self) -> float:
        """Seconds into the history."""
        return self._loop.time() - self._began

    def broken(self, law: str, text: str) -> None:
        if self.violation is None:
            self.violation = Violation(law, self.now(), text)
            self._world.say(law, f"broken: {text}")
            self.changed.set()

    def foreign_write(self, etag: str) -> None:
        """The write that this etag came of is not the app's."""
        self._foreign.add(etag)

    # --- looking

    def look(self) -> None:
        """Whether anything has changed, and if so whether a law is broken. What cannot be looked at breaks one as well."""
        try:
            self._look()
        except Exception as error:
            self.broken("world", f"the laws cannot be looked at: {error!r}")

    def _look(self) -> None:
        for host in self._stage.hosts:
            self.died += host.died
        if self.died:
            self.broken("crash", f"an invocation died of {self.died[0]!r}")
        record, control, data, agents = self._read_record(), self._read_control(), self._read_data(), self._ask_agents()
        if not (record or control or data or agents):
            return
        self.events += 1
        self.changed.set()
        self._judge()

    def _read_record(self) -> bool:
        """What is stored counts, not what a host remembers to have written."""
        stored = self._stage.documents.read(keys.record(TOPOLOGY, SERVICE))
        if stored is None or stored is self._stored:
            return False
        self._stored = stored
        record = msgspec.json.decode(stored, type=Record)
        if self.record is not None and record.epoch < self.record.epoch:
            self.broken("S5", f"the record's epoch fell from {self.record.epoch} to {record.epoch}")
        if record != self.record:
            self._world.say("record", _line(record))
        self.record = record
        return True

    def _read_control(self) -> bool:
        document = self._world.balancer
        etag = str(document["etag"])
        if etag == self._etag:
            return False
        self._etag = etag
        self._writes[etag] = number = len(self._writes) + 1
        before, states = self.control, self._states(document)
        ours = etag not in self._foreign
        self._judge_pool(states)
        for name, state in states.items():
            if before.get(name) == state:
                continue
            self._world.say("ARM", f"adminState of {name} is {state}{'' if ours else ', by an operator'}")
            if ours and state == DOWN and name in self._lifted:
                self._lifted[name] = number
            elif not ours and (before.get(name), state) == (DOWN, NONE):
                self._lifted[name] = None
        self.control = states
        return True

    def _judge_pool(self, states: Mapping[str, str]) -> None:
        if states.keys() != set(self._world.names):
            self.broken("S14", f"after a write the pool holds {sorted(states)}")
        if UP in states.values():
            self.broken("S9", f"Up is written: {dict(states)}")

    def _read_data(self) -> bool:
        plane = self._stage.world.data_plane
        if plane.version == self._plane:
            return False
        self._plane = plane.version
        arrived = plane.named(self._world.balancer_id.rsplit("/", 1)[1]).document
        states = self._states(arrived)
        if states != self.data:
            self._world.say("data plane", str(dict(states)))
        self.data = states
        number = self._writes.get(str(arrived["etag"]), 0)
        for name, ends in list(self._lifted.items()):
            if ends is not None and number >= ends:
                del self._lifted[name]
        return True

    def _ask_agents(self) -> bool:
        will = tuple(name for name, nva in self._stage.nvas.items() if nva.answers(SERVICE))
        if will == self.will:
            return False
        for name in set(will) - set(self.will):
            self._is_durable(name)
        self.will = will
        self._world.say("200 from", ", ".join(will) or "no member")
        return True

    def _is_durable(self, name: str) -> None:
        stored = self._stage.nvas[name].disk.states.get(SERVICE)
        if stored is None or stored.role is not Role.SERVING:
            self.broken("S6", f"{name} answers 200 and its disk says {stored}")

    def _states(self, document: Json) -> Mapping[str, str]:
        """adminState by member in such a document; an address of no member counts by itself."""
        pool = next(p for p in document["properties"]["backendAddressPools"] if p["name"] == POOL)
        facts = [address["properties"] for address in pool["properties"]["loadBalancerBackendAddresses"]]
        return {
            self._world.name_of(one["ipAddress"]) or one["ipAddress"]: one.get("adminState") or "None" for one in facts
        }

    # --- judging

    @property
    def eligible(self) -> list[str]:
        """Who answers 200 and is let through."""
        return [name for name in self.will if self.data.get(name, DOWN) != DOWN]

    def _judge(self) -> None:
        eligible, record = self.eligible, self.record
        if len(eligible) > 1 and not self._lifted.keys() & set(eligible):
            self.broken("S1", f"{' and '.join(eligible)} are eligible at once")
        if record is None:
            return
        for name in self.will:
            if name not in record.may_serve:
                self.broken("S3", f"{name} answers 200 and is not in may_serve")
        if record.phase in SETTLED and len(record.may_serve - record.fenced.keys()) > 1:
            self.broken("S2", f"{sorted(record.may_serve - record.fenced.keys())} may serve unfenced")
        for name in record.fenced:
            if self.data.get(name) != DOWN and name not in self._lifted:
                self.broken("S4", f"{name} is believed fenced and is {self.data.get(name)} in the data plane")


def _line(record: Record) -> str:
    may, fenced = ",".join(sorted(record.may_serve)), ",".join(sorted(record.fenced))
    what = f"{record.operation.kind}: {record.operation.reason}" if record.operation else ""
    owed = ",".join(sorted(record.owed))
    return f"record {record.phase} {record.epoch} {record.target} may={may} fenced={fenced} owed={owed} {what}"
