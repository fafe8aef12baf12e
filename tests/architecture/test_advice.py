"""What a message advises can be done: each verb in it is accepted for the service in the state that prints it.

Every guard, order and decision is evaluated in many states of a service. Each verb that a message advises is then ordered in
the same state. A verb that a message only reports (`drained by ann`) is no advice.

A guard says "not now". So an order's or decision's advice may be refused by a guard, which gives its own reason; a guard's own
advice may not be refused at all.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
import pytest
from msgspec.structs import fields, replace

from function_app.cli import main as hopkeeper
from function_app.domain.base.refusal import guard_name
from function_app.domain.preflight.balancer import rehearsal
from function_app.domain.preflight.facts import Facts
from function_app.domain.service.decide import decide
from function_app.domain.service.guards import GUARDS, Draining, Opening, Step, Touch, refuse
from function_app.domain.service.look import Look
from function_app.domain.service.observation import AgentReading, Observed, Role, Unreachable
from function_app.domain.service.orders import (
    VERBS,
    Order,
    RehearseOrder,
    obey,
    order_from,
)
from function_app.domain.service.record import Drain, Kind, Leaving, Pause, Phase, Record, Spacing
from function_app.domain.service.referents import referents_of
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from tests.builders import NOW, balancer, document, ranked, stable, status, text, topology
from tests.unit.decisions import fencing, granted, learning, operation

ROOT = Path(__file__).resolve().parents[2]
LATER, SILENT = NOW + timedelta(hours=1), Unreachable("no answer")
GONE = "gone"
WORDS = ("gone", "despite")
GUARDED = tuple(f"{guard_name(guard)}: " for guard in GUARDS)
_VERB = "|".join(VERBS)
ADVISED = re.compile(
    rf"(?:(?:^|[,;:.] (?:or |and |then )?|\bto )(?:{_VERB})\b(?= (?:it|one|them|the|a|another|all)\b))"
    rf"|(?:[`\"'](?:hopkeeper )?(?:{_VERB})\b)"
)


def advised_by(said: str) -> list[str]:
    """The verbs that a message advises: in the imperative, or between quotes or backticks."""
    return [found[0].split()[-1].strip("`\"'") for found in ADVISED.finditer(said)]


@dataclass(frozen=True, slots=True)
class State:
    """A service in a state: what is in it, what is seen, what is recorded."""

    name: str
    topology: Topology
    observed: Observed
    record: Record

    @property
    def look(self) -> Look:
        service, at = self.topology.services[0], self.observed.at
        named = referents_of(self.topology, service)
        return Look(service, self.topology.timing, self.observed, self.record, at, named)


def orders(verb: str, names: tuple[str, ...]) -> tuple[Order, ...]:
    """Every order of this verb: for each of these members where it names one, and without one where it needs none; also with an
    operator's word in place of a proof.

    A rehearsal without a name chooses among the members that can be spared; there may be none: that is no advice refused.
    """
    keys = [field for field in fields(VERBS[verb]) if field.name in ("member", "to")]
    said = spoken(verb)
    named = tuple(order_from(verb, {key.name: name} | word) for key in keys for name in names for word in said)
    alone = verb != "rehearse" and not any(key.required for key in keys)
    return (*(order_from(verb, word) for word in said), *named) if alone else named


def spoken(verb: str) -> list[dict[str, str]]:
    """What an order of the verb may say in place of a proof, and nothing."""
    return [{}, *({field.name: "as I know"} for field in fields(VERBS[verb]) if field.name in WORDS)]


def answers(state: State, verb: str, names: tuple[str, ...]) -> list[tuple[bool, tuple[str, ...]]]:
    """Whether each order of the verb is accepted, and why it is not."""
    decisions = [obey(state.look, order) for order in orders(verb, names)]
    return [(decision.record != state.record, decision.held) for decision in decisions]


def guards_messages(state: State) -> set[str]:
    look, members = state.look, state.topology.services[0].names
    steps: list[Step] = [Touch(), *(Draining(name) for name in members)]
    steps += [Opening(kind, name) for kind in Kind for name in members]
    return {refusal.reason for step in steps for refusal in refuse(step, look)}


def other_messages(state: State) -> set[str]:
    """What orders and the decision of this state print, without what they pass on of guards."""
    look, members = state.look, state.topology.services[0].names
    given = [order for verb in VERBS for order in orders(verb, (*members, GONE))]
    held = {reason for order in (*given, RehearseOrder(by="ann")) for reason in obey(look, order).held}
    decision = decide(look)
    return {said for said in (*held, *decision.held, *decision.alarms) if not said.startswith(GUARDED)}


def refused_advice(state: State, said: str, of_a_guard: bool) -> list[str]:
    """The verbs that a message advises and this state refuses for every member that it names (for all, where it names none)."""
    known = (*state.topology.services[0].names, GONE)
    named = tuple(name for name in known if re.search(rf"\b{name}\b", said)) or known[:-1]
    return [
        verb
        for verb in advised_by(said)
        if not any(
            accepted or (not of_a_guard and any(reason.startswith(GUARDED) for reason in held))
            for accepted, held in answers(state, verb, named)
        )
    ]


def active_active(members: int) -> Topology:
    doc = document(members)
    doc["services"][0]["mode"] = "active-active"
    return decode(text(doc), Place())


SERVICES = {
    "pair": topology(2),
    "three": topology(3),
    "active-active": active_active(3),
    "self": ranked(3),
    "member": ranked(2, ("watch",)),
}
MEANT = referents_of(SERVICES["pair"], SERVICES["pair"].services[0])
RECORDS = {
    "stable": stable(),
    "with one that left": stable(may_serve=frozenset({"nva-a", GONE})),
    "owing one that left": stable(owed={GONE: 2}),
    "paused": stable(pause=Pause(until=LATER, by="ann")),
    "drained": stable(drains={"nva-b": Drain(until=LATER, by="ann")}),
    "holder drained": stable(drains={"nva-a": Drain(until=LATER, by="ann")}),
    "spaced": stable(spacing=Spacing(count=3, last=NOW)),
    "owing": stable(owed={"nva-b": 2}),
    "fencing": fencing(),
    "granted": granted(),
    "learning": learning(),
    "serving all": stable(may_serve=frozenset({"nva-a", "nva-b", "nva-c"}), phase=Phase.STABLE),
    "too new": stable(schema=99),
    "retiring": stable(
        epoch=4, phase=Phase.FENCING, target=None, leaving=Leaving(how="retired", by="ann", at=NOW, done=False)
    ),
    "released": stable(leaving=Leaving(how="released", by="ann", at=NOW, done=True)),
    "of another address": stable(about=replace(MEANT, members={**MEANT.members, "nva-a": "10.0.1.99"})),
    "shared": fencing(operation=operation(Kind.SWITCHOVER, sharing=True), may_serve=frozenset({"nva-a", "nva-b"})),
}


def readings(members: tuple[str, ...]) -> dict[str, dict[str, AgentReading]]:
    fit: dict[str, AgentReading] = {n: status(3, Role.SERVING if n == "nva-a" else Role.STANDBY) for n in members}
    return {
        "all fit": fit,
        "all serving": {name: status(3, Role.SERVING) for name in members},
        "holder silent": {**fit, "nva-a": SILENT},
        "standby silent": {**fit, "nva-b": SILENT},
        "no member answers": dict.fromkeys(members, SILENT),
        "standby without sessions": {**fit, "nva-b": status(3, sessions_up=False)},
        "standby unfit": {**fit, "nva-b": status(3, fatal=("forwarding is off",))},
    }


STANDBYS = {"standbys not probed": "Down_Probe_HttpStatus", "standbys Down": "Down_Admin"}


def pictures(kind: str, desired: Topology) -> Iterator[tuple[str, Observed]]:
    """What may be observed of a service: its agents, and behind a load balancer what that says of the standbys."""
    names = (*desired.services[0].names, *(("watch",) if kind == "member" else ()))
    for seen, agents in readings(names).items():
        if desired.services[0].naming:
            yield seen, Observed(NOW, agents)
            continue
        for probed, reason in STANDBYS.items():
            reasons = {name.replace("-", "_"): reason for name in names[1:]}
            yield f"{seen}, {probed}", Observed(NOW, agents, balancer(nva_a="Up_Probe_Success", **reasons))


def states() -> Iterator[State]:
    for kind, desired in SERVICES.items():
        for seen, observed in pictures(kind, desired):
            for name, record in RECORDS.items():
                if record.is_shared and kind not in ("pair", "three"):
                    continue
                yield State(f"{kind}, {name}, {seen}", desired, observed, record)


def test_a_verb_that_a_message_advises_is_accepted_in_the_state_that_prints_it() -> None:
    wrong, advised = set(), set()
    for state in states():
        said_by = [(said, True) for said in guards_messages(state)] + [(said, False) for said in other_messages(state)]
        for said, of_a_guard in said_by:
            advised |= set(advised_by(said))
            wrong |= {f"{said}: {verb} is refused ({state.name})" for verb in refused_advice(state, said, of_a_guard)}
    assert {"drain", "rehearse", "forget", "release"} <= advised
    assert sorted(wrong)[:5] == []


@pytest.mark.parametrize(
    "said",
    [
        "gone may still be serving but left the topology: put it back, or drain it",
        "nva-b is not drained: undrain it",
        "resume it",
        "use `hopkeeper resume` and look",
    ],
)
def test_advice_that_the_state_refuses_is_named(said: str) -> None:
    state = State("three, all fit", SERVICES["three"], Observed(NOW, readings(("nva-a", "nva-b"))["all fit"]), stable())
    assert len(refused_advice(state, said, of_a_guard=True)) == 1


# Commands in messages


def filled_in(node: ast.JoinedStr) -> str:
    """The text of an f-string, with `{}` for what is filled in."""
    return "".join(part.value if _is_text(part) else "{}" for part in node.values)  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def texts_of(path: Path) -> Iterator[str]:
    """Every text of a module that is no docstring."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    aside = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    aside |= {id(part) for node in joined for part in node.values}
    yield from map(filled_in, joined)
    yield from (node.value for node in nodes if _is_text(node) and id(node) not in aside)  # type: ignore[attr-defined]


def test_a_command_line_in_a_message_is_one_that_the_command_line_takes() -> None:
    assert isinstance(hopkeeper, click.Group)
    advised = [
        (path.name, found[1])
        for path in sorted((ROOT / "function_app").rglob("*.py"))
        for said in texts_of(path)
        for found in re.finditer(r"(?<![./_\w-])hopkeeper ([a-z-]+)", said)
    ]
    assert ("balancer.py", "rehearse") in advised
    assert [(name, verb) for name, verb in advised if verb not in hopkeeper.commands] == []


@pytest.mark.parametrize("members", [2, 3])
def test_the_rehearsal_that_lint_advises_is_accepted_at_rest(members: int) -> None:
    """The only standby of a pair is rehearsed only by name."""
    desired = topology(members)
    (fault,) = rehearsal(desired, Facts(rehearsals={"fw": None}))
    words = fault.do.split()
    assert words[:4] == ["hopkeeper", "rehearse", "hub", "fw"]
    names = desired.services[0].names
    reading = balancer(nva_a="Up_Probe_Success", **{n.replace("-", "_"): "Down_Probe_HttpStatus" for n in names[1:]})
    state = State("at rest", desired, Observed(NOW, readings(names)["all fit"], reading), stable())
    order = RehearseOrder(by="ann", member=names[-1] if words[4:] else None)
    assert obey(state.look, order).record != state.record
