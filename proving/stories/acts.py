"""The acts that stories are made of, in plain words: what an operator does, what breaks, and what is expected then.

Times are virtual seconds. An expectation waits until it is met or its time is over; then the story fails.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

from function_app.domain.base.errors import BadInput
from function_app.domain.service.record import Kind, Phase
from function_app.domain.topology.peering_names import PREFIX, peering_name
from function_app.reconcile.passes.outcome import Ending, Outcome
from proving.stories.stage import Act, Stage, StoryFailed
from simulator.resources import Json, parse_path

PEERING_SECONDS = 100.0
"""A peering takes 80 s, and a pass has to look before the next one is begun."""
SOON = 30.0
PATIENCE = 200.0


# --- the operator


def apply(words: str = "the operator puts the topology in force") -> Act:
    async def do(stage: Stage) -> None:
        await stage.apply()

    return Act(words, do)


def rewrite(words: str, change: Callable[[dict[str, Any]], None]) -> Act:
    """The operator changes the document and puts it in force."""

    async def do(stage: Stage) -> None:
        change(stage.document)
        await stage.apply()

    return Act(words, do)


def refused(words: str, change: Callable[[dict[str, Any]], None], *said: str) -> Act:
    """The operator tries a document that must not be taken; `said` must all be in the refusal."""

    async def do(stage: Stage) -> None:
        before = stage.document
        stage.document = deepcopy(before)
        change(stage.document)
        try:
            await stage.apply()
        except BadInput as error:
            missing = [words for words in said if words not in str(error)]
            if missing:
                raise StoryFailed(f"the refusal does not say {missing}: {error}") from error
            stage.narrator.fact("hopkeeper apply", f"refused: {error}")
            stage.document = before
            return
        raise StoryFailed("it was taken")

    return Act(words, do)


def observes(on: bool) -> Act:
    """The app is deployed with HOPKEEPER_OBSERVE_ONLY, or without it."""

    async def do(stage: Stage) -> None:
        for host in stage.hosts:
            host.observe_only(on)

    return Act(f"the app {'only observes' if on else 'may act'} from now on", do)


def order(verb: str, service: str, words: str, *, fails: bool = False, **said: Any) -> Act:
    """An operator's order, which must be taken; with `fails` it must be tried, and go wrong."""

    async def do(stage: Stage) -> None:
        outcome = await _given(stage, verb, service, said)
        if outcome.ending is Ending.REFUSED or (outcome.ending is Ending.FAILED) is not fails:
            raise StoryFailed(f"{verb} was {outcome.ending.word}: {'; '.join(outcome.reasons)}")

    return Act(words, do)


def order_refused(verb: str, service: str, words: str, *because: str, **said: Any) -> Act:
    """An operator's order that must not be taken; `because` must all be in its reasons."""

    async def do(stage: Stage) -> None:
        outcome = await _given(stage, verb, service, said)
        reasons = "; ".join(outcome.reasons)
        if outcome.ending is not Ending.REFUSED or any(text not in reasons for text in because):
            raise StoryFailed(f"{verb} was {outcome.ending.word}: {reasons}")

    return Act(words, do)


async def _given(stage: Stage, verb: str, service: str, said: dict[str, Any]) -> Outcome:
    outcome = await stage.host.app.order(stage.topology.name, service, verb, {"by": "alice", **said})
    stage.narrator.fact(f"hopkeeper {verb}", "; ".join((outcome.ending.word, *outcome.reasons)))
    return outcome


def passes(seconds: float, words: str = "") -> Act:
    async def do(stage: Stage) -> None:
        await stage.host.clock.sleep(timedelta(seconds=seconds))

    return Act(words or f"{seconds:g} s pass", do)


# --- appliances

DEAD = ("does not answer", "watches it reaches it", "probe of it fails")
"""What the cause of a failover may say of a member that is dead or cut off, by who found out."""


def dies(name: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.ail(name, *DEAD)
        await stage.kill(name)

    return Act(f"{name} dies, the whole machine", do)


def boots(name: str) -> Act:
    async def do(stage: Stage) -> None:
        await stage.boot(name)

    return Act(f"{name} boots again", do)


def is_cut_off(name: str) -> Act:
    """Nothing reaches it, and it reaches nothing."""

    async def do(stage: Stage) -> None:
        stage.ail(name, *DEAD)
        stage.silence(name)

    return Act(f"{name} is cut off from everything, and misses everybody", do)


def is_joined(name: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.hear_again(name)

    return Act(f"{name} is reached again", do)


def data_path(name: str, works: bool) -> Act:
    async def do(stage: Stage) -> None:
        if not works:
            stage.ail(name, "says forwarding")
        (stage.broken.discard if works else stage.broken.add)(name)
        if name in stage.nvas:
            stage.nvas[name].forward(works)

    return Act(
        f"the data path of {name} {'works again' if works else 'breaks: it forwards nothing, its agent lives'}", do
    )


# --- Azure, and other people in it


def fault(words: str, **changes: Any) -> Act:
    """Something is wrong with Azure from now on: see `simulator.faults`."""

    async def do(stage: Stage) -> None:
        stage.world.set_faults(changes)

    return Act(words, do)


def foreign_peering(server: str, name: str, address: str, asn: int) -> Act:
    """Somebody makes a peering that is not ours."""

    async def do(stage: Stage) -> None:
        _adopt_peering(stage, server, name, address, asn)

    return Act(f"somebody else makes a peering on {server}: {name} with {address} in AS {asn}", do)


def peering_vanishes(server: str, name: str, words: str) -> Act:
    async def do(stage: Stage) -> None:
        _remove_peering(stage, server, name)

    return Act(words, do)


def edited_by_hand(server: str, speaker: str, asn: int) -> Act:
    """At 2 a.m. somebody deletes one of our peerings in the portal, and makes it again with another ASN."""

    async def do(stage: Stage) -> None:
        name = peering_name(stage.topology.name, speaker)
        address = str(stage.topology.speaker(speaker).address)
        _remove_peering(stage, server, name)
        _adopt_peering(stage, server, name, address, asn)

    return Act(f"2 a.m.: somebody edits the peering of {speaker} on {server} in the portal, AS {asn} from now on", do)


def adopt(words: str, change: Callable[[Stage], None]) -> Act:
    """Anything else that happens to the simulated Azure."""

    async def do(stage: Stage) -> None:
        change(stage)

    return Act(words, do)


def _hub(stage: Stage, server: str) -> str:
    return next(s.id for s in stage.topology.route_servers if s.name == server)


def _adopt_peering(stage: Stage, server: str, name: str, address: str, asn: int) -> None:
    document: Json = {
        "id": f"{_hub(stage, server)}/bgpConnections/{name}",
        "properties": {"provisioningState": "Succeeded", "peerIp": address, "peerAsn": asn},
    }
    stage.world.adopt(document)
    stage.world.state.publish("Write", document)


def _remove_peering(stage: Stage, server: str, name: str) -> None:
    path = parse_path(f"{_hub(stage, server)}/bgpConnections/{name}")
    assert path is not None
    document = stage.world.state.resources.get(path.id)
    if document is None:
        raise StoryFailed(f"there is no peering {name} to remove")
    stage.world.state.resources.remove(path.id)
    stage.world.state.publish("Delete", document)


# --- expectations


def expect(words: str, holds: Callable[[Stage], bool], within: float = SOON) -> Act:
    async def do(stage: Stage) -> None:
        await stage.until(words, lambda: holds(stage), within)

    return Act("", do)


def stays(words: str, holds: Callable[[Stage], bool], seconds: float) -> Act:
    async def do(stage: Stage) -> None:
        await stage.throughout(words, lambda: holds(stage), seconds)

    return Act("", do)


def peerings_are_made(server: str, *speakers: str, within: float | None = None) -> Act:
    """Our peerings are in force with these speakers and no others; never two writes under way at once."""

    def holds(stage: Stage) -> bool:
        if len(stage.world.state.in_flight(_hub(stage, server).casefold())) > 1:
            raise StoryFailed(f"two writes on {server} at once")
        return own_peerings(stage, server) == {peering_name(stage.topology.name, name) for name in speakers}

    many = f"{len(speakers)} peerings of ours on {server}, made one by one"
    names = f"{server} peers with {', '.join(speakers)}, one write at a time"
    return expect(names if len(speakers) <= 4 else many, holds, within or PEERING_SECONDS * max(len(speakers), 1))


def own_peerings(stage: Stage, server: str) -> set[str]:
    """Names of those of ours that are in force; one under way counts with a mark."""
    return {
        item["name"] + ("" if item["properties"]["provisioningState"] == "Succeeded" else "?")
        for item in stage.world.route_servers.peerings(_hub(stage, server))
        if item["name"].startswith(PREFIX)
    }


def holds(service: str, name: str, within: float = SOON) -> Act:
    """The one member that admits new flows, and the record agrees; where that was a failover, its cause is the true one."""

    def held(stage: Stage) -> bool:
        found = stage.record(service)
        by_probe = [n for n in stage.topology.service(service).names if stage.is_eligible(n, service)]
        return found is not None and found.holder == name and by_probe == [name]

    async def do(stage: Stage) -> None:
        await stage.until(f"{name} alone holds {service}", lambda: held(stage), within)
        await _names_the_cause(stage, service)

    return Act("", do)


async def _names_the_cause(stage: Stage, service: str) -> None:
    """The status names what was done as the cause of the last failover; `explain` has to when the story ends."""
    app, topology = stage.host.app, stage.topology.name
    (shown,) = (each for each in (await app.status(topology)).services if each.service == service)
    if shown.operation is None or shown.operation.kind != Kind.FAILOVER:
        return
    cause, began = shown.operation.reason, shown.operation.started
    if not any(name in cause and any(words in cause for words in ails) for name, ails in stage.ails.items()):
        raise StoryFailed(f"the status names the cause {cause!r}, and what was done is {stage.ails}")
    stage.causes[service, began] = cause


def keeps(service: str, name: str, seconds: float) -> Act:
    """Nothing moves."""

    def held(stage: Stage) -> bool:
        found = stage.record(service)
        return found is not None and found.holder == name

    return stays(f"{name} keeps {service}", held, seconds)


def all_serve(service: str, *names: str, within: float = SOON) -> Act:
    def held(stage: Stage) -> bool:
        return {n for n in stage.topology.service(service).names if stage.is_eligible(n, service)} == set(names)

    return expect(f"{' and '.join(names)} serve{'s' if len(names) == 1 else ''} {service}", held, within)


def is_fenced(service: str, name: str, within: float = SOON) -> Act:
    return expect(
        f"{name} is fenced: adminState Down, where packets go",
        lambda stage: stage.admin_state(name, service) == "Down",
        within,
    )


def is_lifted(service: str, name: str, within: float = 120.0) -> Act:
    def lifted(stage: Stage) -> bool:
        found = stage.record(service)
        return stage.admin_state(name, service) == "None" and found is not None and not found.owed

    return expect(f"{name} is lifted: its adminState is None again, and nothing is owed", lifted, within)


def is_stable(service: str, within: float = PATIENCE) -> Act:
    def stable(stage: Stage) -> bool:
        found = stage.record(service)
        return found is not None and found.phase is Phase.STABLE

    return expect(f"{service} is stable", stable, within)


def seen(words: str, holds: Callable[[Json], bool], within: float = PATIENCE) -> Act:
    """The status document of a slow pass that is yet to come says so."""

    async def do(stage: Stage) -> None:
        began = stage.host.clock.now()

        def held() -> bool:
            last = stage.last_look(since=began)
            return bool(last) and holds(last)

        await stage.until(words, held, within)

    return Act("", do)


def routes_are_verified(within: float = PATIENCE) -> Act:
    return seen(
        "the learned routes are as they should be, on both instances",
        lambda last: bool(last["routes"]["verified"]),
        within,
    )


def converged(within: float = PATIENCE) -> Act:
    return seen("Hopkeeper has nothing left to do", lambda last: bool(last["outcome"] == "converged"), within)


def says(words: str, *parts: str, within: float = PATIENCE) -> Act:
    """The status gives a reason that holds all these parts."""
    return seen(words, lambda last: any(all(part in reason for part in parts) for reason in last["reasons"]), within)
