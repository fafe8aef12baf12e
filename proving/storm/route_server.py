"""The simulated Route Server: peerings that take their time, a limit of eight, and other people's."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from function_app.domain.base.errors import Unavailable
from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Speaker, Topology
from function_app.domain.topology.peering_names import is_ours, peering_name
from proving.storm.calls import Call

if TYPE_CHECKING:
    from proving.storm.world import World

INSTANCES = (IPv4Address("10.0.2.4"), IPv4Address("10.0.2.5"))
PEERS_MAX = 8


class RouteServer:
    """See the module."""

    def __init__(self, world: "World", topology: Topology) -> None:
        self._world = world
        self._topology = topology
        self.down = False
        self.busy = False
        self._filled = -1.0
        self.deaf: set[IPv4Address] = set()
        """Instances that learn nothing."""
        self.peerings = {
            peering_name(topology.name, s.name): Peering(
                peering_name(topology.name, s.name), s.address, s.asn, Provisioning.SUCCEEDED
            )
            for s in topology.speakers
        }

    def read(self, call: Call, server: str) -> None:
        if self.down:
            call.answer(Unavailable("ARM answers 503"))
            return
        shown = tuple(
            p for n, p in self.peerings.items() if is_ours(n, self._topology.name) or not self._world.bugs.hides_peers
        )
        call.answer(RouteServerReading(INSTANCES, shown), self._world.draw() * 0.3)

    def create(self, call: Call, step: CreatePeering, listed: float) -> None:
        """`listed`: when the list was asked for that this was decided on."""
        if self._refused(call):
            return
        if self._full_since(listed, step.name):
            call.answer(Unavailable("400: a Route Server takes at most eight peers"))
            return
        self._world.checks.peering_created(step.name, len(self.peerings))
        self._set(Peering(step.name, step.address, step.asn, Provisioning.UPDATING))
        self._world.timeline.after(20.0 + 60.0 * self._world.draw(), self._made, step.name)
        call.answer(None)

    def delete(self, call: Call, step: DeletePeering) -> None:
        if self._refused(call):
            return
        self._world.checks.peering_deleted(step.name)
        there = self.peerings.get(step.name)
        if there is not None:
            self._set(Peering(there.name, there.address, there.asn, Provisioning.DELETING))
            self._world.timeline.after(20.0 + 40.0 * self._world.draw(), self._gone, step.name)
        call.answer(None)

    def ask(self, call: Call, peering: str) -> None:
        if self._refused(call):
            return
        call.answer(f"{self._world.timeline.now:.3f}/{peering}")

    def fetch(self, call: Call, token: str) -> None:
        asked, _, peering = token.partition("/")
        if self._world.timeline.now < float(asked) + 10.0:
            call.answer(None)
            return
        topology = self._topology
        speaker = next((s for s in topology.speakers if peering_name(topology.name, s.name) == peering), None)
        call.answer(tuple(self._rows(speaker)) if speaker is not None else ())

    def _rows(self, speaker: Speaker) -> Iterator[LearnedRoute]:
        """What both instances have learned from a speaker."""
        agent = self._world.agents[speaker.name]
        for instance in INSTANCES if agent.sessions else ():
            for a in (agent.advertised or ()) if instance not in self.deaf else ():
                yield LearnedRoute(instance, a.prefix, a.next_hop, (speaker.asn,), speaker.address)

    def _refused(self, call: Call) -> bool:
        if self.down:
            call.answer(Unavailable("ARM answers 503"))
        elif self.busy:
            call.answer(Unavailable("409: another operation is in progress"))
        return self.down or self.busy

    def _full_since(self, listed: float, name: str) -> bool:
        """Nobody can keep others from the last place between a list and a write; Azure refuses the ninth then."""
        return self._filled > listed and name not in self.peerings and len(self.peerings) >= PEERS_MAX

    def _set(self, peering: Peering) -> None:
        self.peerings[peering.name] = peering

    def _made(self, name: str) -> None:
        there = self.peerings.get(name)
        if there is not None and there.state is Provisioning.UPDATING:
            self._set(Peering(name, there.address, there.asn, Provisioning.SUCCEEDED))

    def _gone(self, name: str) -> None:
        there = self.peerings.get(name)
        if there is not None and there.state is Provisioning.DELETING:
            del self.peerings[name]

    # --- what others do

    def lose_instance(self) -> None:
        self.deaf.add(INSTANCES[0])

    def well(self) -> None:
        self.down = self.busy = False
        self.deaf.clear()

    def fill(self) -> None:
        """Somebody else takes every place that is left."""
        self._filled = self._world.timeline.now
        for n in range(PEERS_MAX):
            if len(self.peerings) < PEERS_MAX:
                self._set(Peering(f"other-{n}", IPv4Address("10.0.9.0") + n, 65099, Provisioning.SUCCEEDED))

    def fail(self, speaker: str) -> None:
        name = peering_name(self._topology.name, speaker)
        there = self.peerings.get(name)
        if there is not None:
            self._set(Peering(name, there.address, there.asn, Provisioning.FAILED))

    def lose(self, speaker: str) -> None:
        self.peerings.pop(peering_name(self._topology.name, speaker), None)
