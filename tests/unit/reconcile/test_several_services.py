"""Random small histories of two services on the same machines: what befalls one is no concern of the other."""

from dataclasses import replace
from datetime import timedelta

import pytest

from function_app.domain.service.observation import AdminState, Role
from function_app.domain.service.orders import DrainOrder, FailoverOrder, PauseOrder, SwitchoverOrder
from function_app.reconcile.store import keys
from tests.unit.reconcile.several import Several

STRETCHES = 3
FAULTS = 6
LOOKS = 10
OF_ONE = ["emptied", "down", "lifted", "management", "role", "switchover", "failover", "drain", "pause", "lost", "old"]
BY_OTHERS = {"emptied", "lifted", "old"}
"""What undoes a fence, or the record of one: beside a machine that is out of reach it is excused (docs/proving.md)."""
OF_ALL = [*(w for w in OF_ONE if w not in BY_OTHERS), "kill", "revive", "cut", "join", "unfit", "fit", "storage"]


class History(Several):
    """Draws what happens."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.earlier: dict[str, list[bytes]] = {name: [] for name in self.machines.worlds}

    async def befall(self, service: str, what: str) -> None:
        """A fault of one service, or an order for it."""
        world, member = self.machines.worlds[service], self.draw.choice(self.topology.services[0].names)
        if there := self.documents.stored.get(keys.record("hub", service)):
            self.earlier[service].append(there.body)
        match what:
            case "emptied":
                world.pool.clear()
            case "down":
                world.admin[member] = AdminState.DOWN
            case "lifted":
                world.admin[member] = AdminState.NONE
            case "management":
                world.arm_up = not world.arm_up
            case "role":
                world.agents[member].role = Role.STANDBY
            case "switchover":
                await self.order(service, SwitchoverOrder(to=member))
            case "failover":
                await self.order(service, FailoverOrder(to=member))
            case "drain":
                await self.order(service, DrainOrder(member=member, minutes=1))
            case "pause":
                await self.order(service, PauseOrder(minutes=0.1))
            case "lost" | "old":
                self.lose_record(service, what)
        world.watch()

    def lose_record(self, service: str, what: str) -> None:
        there = self.documents.stored.pop(keys.record("hub", service), None)
        if what == "old" and there is not None:
            older = replace(there, body=self.draw.choice(self.earlier[service]), etag=f"{there.etag}, back")
            self.documents.stored[keys.record("hub", service)] = older

    async def befall_machine(self, what: str) -> None:
        """A fault of a machine, or of what all share."""
        member = self.draw.choice(self.topology.services[0].names)
        agents = [world.agents[member] for world in self.machines.worlds.values()]
        for agent in agents:
            match what:
                case "cut" | "join":
                    agent.cut = what == "cut"
                case "unfit" | "fit":
                    agent.fatal = ("forwarding is off",) if what == "unfit" else ()
        match what:
            case "kill":
                self.machines.kill(member)
            case "revive" if not agents[0].up:
                self.machines.revive(member)
            case "storage":
                self.documents.down = not self.documents.down

    async def heal(self) -> None:
        """Everything but a Down that has no owner, which an operator takes back once the rest is well."""
        self.documents.down = False
        for world in self.machines.worlds.values():
            world.arm_up, world.pool = True, set(world.agents)
            for name, agent in world.agents.items():
                agent.cut, agent.fatal = False, ()
                if not agent.up:
                    world.revive(name)
        self.clock.at += timedelta(minutes=2)
        for _ in range(LOOKS):
            await self.pass_over()
        for service, world in self.machines.worlds.items():
            record = self.record(service)
            owed = record.owed if record else {}
            world.admin |= {name: AdminState.NONE for name in world.admin if name not in owed}
        await self.settle()
        self.hold_laws()


@pytest.mark.parametrize("seed", range(50))
async def test_a_fault_of_one_service_changes_nothing_of_the_other_and_a_dead_machine_moves_each_once(
    seed: int,
) -> None:
    history = History(seed)
    await history.settle()
    for _ in range(STRETCHES):
        one, other = history.draw.sample(sorted(history.machines.worlds), 2)
        before = history.standing(other)
        for _ in range(FAULTS):
            await history.befall(one, history.draw.choice(OF_ONE))
            await history.pass_over()
            history.hold_laws()
            assert history.standing(other) == before
        await history.heal()
        assert history.standing(other) == before
        await one_machine_dies(history)


async def one_machine_dies(history: History) -> None:
    """Moves each service that it held once, and no other; so does nothing that follows."""
    dead = history.draw.choice(history.topology.services[0].names)
    epochs = {name: history.at_rest(name).epoch for name in history.machines.worlds}
    holders = {name: history.at_rest(name).target for name in history.machines.worlds}
    history.machines.kill(dead)
    for _ in range(LOOKS):
        await history.pass_over()
        history.hold_laws()
    history.machines.revive(dead)
    await history.settle()
    for name, holder in holders.items():
        moves = int(holder == dead)
        assert history.at_rest(name).epoch == epochs[name] + moves
        assert (history.at_rest(name).target != holder) == bool(moves)


@pytest.mark.parametrize("seed", range(70))
async def test_each_of_two_services_keeps_its_laws_whatever_befalls_them_and_has_one_holder_after_healing(
    seed: int,
) -> None:
    history = History(seed)
    for _ in range(4 * FAULTS):
        if (what := history.draw.choice(OF_ALL)) in OF_ONE:
            await history.befall(history.draw.choice(sorted(history.machines.worlds)), what)
        else:
            await history.befall_machine(what)
        await history.pass_over()
        history.hold_laws()
    await history.heal()
    for name in history.machines.worlds:
        assert history.machines.worlds[name].eligible() == [history.at_rest(name).target]
