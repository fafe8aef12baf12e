"""Peer slots against the simulated Route Server, on virtual time: eighty seconds a write, eight places, other people."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from function_app.domain.base.errors import Unavailable
from function_app.domain.peerings.model import CreatePeering, DeletePeering, Peering, Provisioning, RouteServerReading
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import RouteServer, ScaleSet, Topology
from function_app.reconcile.passes.outcome import Ending, Outcome
from function_app.reconcile.peerings.keep import keep_membership
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from simulator.event_grid import resource_event
from simulator.wire import Reply
from tests.builders import document, text
from tests.fakes import FakeClock, FakeWorld, make_ports
from tests.simulation.test_simulated_route_server import INSTANCES, WANTED, Azure

EVERY = 10.0  # seconds between two looks: `doubtPoll`


def desired(members: int, slots: str = "refuse", **of_speakers: dict[str, Any]) -> Topology:
    doc = document(members, timing={})
    doc["routeServers"] = [{"name": "rs", "id": WANTED.route_server_id, "slots": slots}]
    for speaker in doc["speakers"]:
        speaker |= of_speakers.get(speaker["name"].replace("-", "_"), {})
    return decode(text(doc), Place())


class OverTheWire:
    """The port, as ARM answers on the wire."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def read(self, server: RouteServer) -> RouteServerReading:
        listed = self._azure.call("GET", f"{server.id}/bgpConnections").body["value"]
        return RouteServerReading(INSTANCES, tuple(_peering(item["name"], item["properties"]) for item in listed))

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        listed = self._azure.call("GET", f"{scale_set.id}/networkInterfaces").body["value"]
        return tuple(
            Instance(
                item["properties"]["virtualMachine"]["id"].rpartition("/")[2],
                IPv4Address(item["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]),
                item["properties"]["provisioningState"] == "Deleting",
            )
            for item in listed
        )

    async def create(self, server: RouteServer, step: CreatePeering) -> None:
        _accepted(self._azure.put_peering(step.name, str(step.address), step.asn))

    async def delete(self, server: RouteServer, step: DeletePeering) -> None:
        _accepted(self._azure.call("DELETE", f"{server.id}/bgpConnections/{step.name}"))


def _peering(name: str, facts: dict[str, Any]) -> Peering:
    state = Provisioning(facts["provisioningState"])
    return Peering(name, IPv4Address(facts["peerIp"]), int(facts["peerAsn"]), state)


def _accepted(reply: Reply) -> None:
    if reply.status >= 400:
        raise Unavailable(f"{reply.status} {reply.body['error']['code']}")


@dataclass
class Story:
    """A topology and a Route Server that is looked at every ten seconds."""

    topology: Topology
    azure: Azure = field(default_factory=Azure)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        world = FakeWorld(self.topology)
        wire = OverTheWire(self.azure)
        self.ports = replace(make_ports(world, clock=self.clock), route_servers=wire, scale_sets=wire)

    def by_hand(self, *addresses: str) -> None:
        for address in addresses:
            assert self.azure.put_peering(f"other-{address}", address).status == 201
            self.azure.pass_seconds(80)

    @property
    def in_force(self) -> set[str]:
        return {str(peer.address) for peer in self.azure.world.route_servers.peers()}

    async def look(self) -> Outcome:
        outcome = (await keep_membership(self.ports, self.topology, self.topology.route_servers[0])).outcome
        assert len(self.azure.world.route_servers.peerings(WANTED.route_server_id)) <= 8
        self.azure.pass_seconds(EVERY)
        self.clock.at += timedelta(seconds=EVERY)
        return outcome

    async def until_rest(self, holds: Callable[[], bool] = lambda: True, looks_max: int = 400) -> Outcome:
        for _ in range(looks_max):
            outcome = await self.look()
            assert holds()
            if outcome.ending is Ending.CONVERGED:
                return outcome
        raise AssertionError(f"not at rest: {outcome}")


async def test_ten_speakers_take_the_places_that_two_strangers_leave_by_priority() -> None:
    story = Story(desired(10, "byPriority", nva_j={"priority": 300}, nva_a={"priority": 1}))
    story.by_hand("10.0.9.1", "10.0.9.2")
    outcome = await story.until_rest()
    strangers = {"10.0.9.1", "10.0.9.2"}
    ours = {f"10.0.1.{n}" for n in (13, 5, 6, 7, 8, 9)}
    assert story.in_force == strangers | ours
    assert any(
        "8 of 8 peers are taken, 2 of them not ours" in r and r.endswith("waiting: nva-g, nva-h, nva-i, nva-a")
        for r in outcome.reasons
    )


async def test_a_moved_speaker_is_peered_before_its_old_peering_goes() -> None:
    story = Story(desired(2))
    await story.until_rest()
    story.topology = desired(2, nva_b={"address": "10.0.1.77"})
    await story.until_rest(lambda: len(story.in_force) >= 2)
    assert story.in_force == {"10.0.1.4", "10.0.1.77"}


async def test_at_eight_of_eight_a_move_costs_what_the_status_said_and_the_service_stays_announced() -> None:
    story = Story(desired(3))
    story.by_hand(*(f"10.0.9.{n}" for n in range(1, 6)))
    await story.until_rest()
    story.topology = desired(3, nva_c={"address": "10.0.1.77"})
    last = await story.look()
    assert any("exchanged for the new peering of nva-c: one fewer for about 165 s" in reason for reason in last.reasons)
    assert "10.0.1.6" in story.in_force, "nothing was done yet"
    without = 0

    def holds() -> bool:
        nonlocal without
        without += not story.in_force & {"10.0.1.6", "10.0.1.77"}
        return {"10.0.1.4", "10.0.1.5"} <= story.in_force

    await story.until_rest(holds)
    exposure = story.topology.timing.peering_swap.total_seconds()
    assert abs(without * EVERY - exposure) <= 2 * EVERY


async def test_a_new_as_of_the_only_announcer_is_refused_until_the_operator_names_its_peering() -> None:
    story = Story(desired(1))
    await story.until_rest()
    story.topology = desired(1, nva_a={"asn": 65009})
    outcome = await story.look()
    assert outcome.ending is Ending.REFUSED
    assert any("the last peering that announces 0.0.0.0/0: name it in `remove`" in r for r in outcome.reasons)
    doc = document(1, timing={})
    doc["routeServers"] = [{"name": "rs", "id": WANTED.route_server_id, "remove": ["hopkeeper-hub_nva-a"]}]
    doc["speakers"][0]["asn"] = 65009
    story.topology = decode(text(doc), Place())
    await story.until_rest()
    assert [peer.asn for peer in story.azure.world.route_servers.peers()] == [65009]


async def test_what_another_writer_is_writing_is_waited_for() -> None:
    story = Story(desired(2))
    assert story.azure.put_peering("other", "10.0.9.9").status == 201
    outcome = await story.look()
    assert outcome.ending is Ending.PENDING
    assert any("one write in flight: other is being written" in reason for reason in outcome.reasons)
    await story.until_rest()
    assert story.in_force == {"10.0.9.9", "10.0.1.4", "10.0.1.5"}


class Hasty(OverTheWire):
    """Another writer begins a write between our look and our step."""

    def __init__(self, azure: Azure) -> None:
        super().__init__(azure)
        self.begun = False

    async def read(self, server: RouteServer) -> RouteServerReading:
        listed = await super().read(server)
        if not self.begun:
            self.begun = True
            assert self._azure.put_peering("other", "10.0.9.9").status == 201
        return listed


async def test_a_step_that_meets_another_write_comes_back_later() -> None:
    story = Story(desired(2))
    story.ports = replace(story.ports, route_servers=Hasty(story.azure))
    outcome = await story.look()
    assert outcome.ending is Ending.PENDING
    assert any("409 AnotherOperationInProgress" in reason for reason in outcome.reasons)
    await story.until_rest()
    assert {"10.0.1.4", "10.0.1.5"} <= story.in_force


EXAMPLE = (Path(__file__).resolve().parents[2] / "examples" / "scale-set.yaml").read_text()


async def test_a_scale_set_is_peered_as_it_grows_and_shrinks_and_its_events_wake_the_topology() -> None:
    scope = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network"
    example = EXAMPLE.replace(f"{scope}/virtualHubs/rs-hub", WANTED.route_server_id)
    story = Story(decode(example, Place()))
    app = UseCases(story.ports, Topologies(story.ports.documents, Place()))
    await app.topologies.apply(example)
    scale_sets, scale_set = story.azure.world.scale_sets, story.topology.scale_sets[0].id
    for number in range(8):
        scale_sets.add(scale_set, str(number), f"10.0.3.{4 + number}")
    change = story.azure.world.state.published[-1]
    event = resource_event(change)
    assert await app.wake_for([event["subject"], event["data"]]) == ("hub-uksouth",)
    nvas, six = {"10.0.1.4", "10.0.1.5"}, {f"10.0.3.{4 + n}" for n in range(6)}
    outcome = await story.until_rest()
    assert story.in_force == nvas | six
    assert any(reason.endswith("waiting: router-6, router-7") for reason in outcome.reasons)
    scale_sets.leave(scale_set, "0")
    await story.look()
    assert story.in_force == nvas | six, "an instance that is leaving keeps its peering until it is gone"
    scale_sets.remove(scale_set, "0")
    await story.until_rest(lambda: len(story.in_force) >= 7)
    assert story.in_force == nvas | six - {"10.0.3.4"} | {"10.0.3.10"}
