"""The orders, a command for each verb: made of its form, with what belongs to a person who gives it."""

import getpass
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
import msgspec

from function_app import wiring
from function_app.cli.app import App
from function_app.cli.confirming import YES, is_agreed, need_terminal
from function_app.cli.connection import reach, reaching
from function_app.cli.ends import JSON, TROUBLE, WELL, show_outcome
from function_app.cli.parameters import Length
from function_app.cli.root import main
from function_app.cli.waiting import Follower, Ordered, service_of
from function_app.domain.service.orders import VERBS, Order
from function_app.reconcile.documents.outcome import OutcomeAnswer
from function_app.reconcile.documents.status import Status
from function_app.views.moves import move_lines

MOVES = ("switchover", "failover", "drain")
"""Verbs that move traffic: they are confirmed."""

WAIT = click.option("--wait", is_flag=True, help="Wait until the service is at rest, and say each change meanwhile.")
AT_MOST = click.option(
    "--at-most",
    default=300.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="How long --wait waits, seconds.",
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an order is given: see the options."""

    wait: bool
    at_most: float
    as_json: bool
    yes: bool = True


def _give(ordered: Ordered, said: dict[str, Any], manner: Manner) -> None:
    if not manner.yes:
        said = _confirmed(ordered) | said
    answers: list[OutcomeAnswer] = []

    async def give(app: App) -> str | None:
        answers.append(await app.order(ordered.topology, ordered.service, ordered.verb, said))
        if not manner.as_json:
            show_outcome(answers[0], as_json=False)
        if not manner.wait or answers[0].outcome not in WELL:
            return None
        follower = Follower(app, wiring.clock(), _say, timedelta(seconds=manner.at_most))
        return await follower.follow(ordered)

    try:
        fault = reach(give)
    except KeyboardInterrupt:
        click.echo(_left(ordered, bool(answers)), err=True)
        sys.exit(TROUBLE)
    if manner.as_json:
        show_outcome(answers[0], as_json=True)
    if fault is not None:
        _say(fault)
    if fault is not None or answers[0].outcome not in WELL:
        sys.exit(TROUBLE)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _left(ordered: Ordered, taken: bool) -> str:
    """What goes on without the command that was interrupted."""
    if taken:
        return f"interrupted: the order was taken and goes on without you; hopkeeper status {ordered.topology}"
    return f"interrupted: whether the order was taken is not known; hopkeeper status {ordered.topology}"


def _confirmed(ordered: Ordered) -> dict[str, str]:
    """Shows what the order changes, and goes on where a person wants that. The order then expects what was shown."""
    need_terminal(f"{ordered.verb} moves traffic")

    async def read(app: App) -> Status:
        return await app.status(ordered.topology)

    status = reach(read)
    service = service_of(status, ordered.service)
    if service is None:
        there = ", ".join(each.service for each in status.services) or "none"
        raise click.UsageError(f"topology {ordered.topology!r} has no service {ordered.service!r}; it has: {there}")
    for line in move_lines(status, service, ordered.verb, ordered.member):
        _say(line)
    if not is_agreed():
        sys.exit(TROUBLE)
    return {} if service.holder is None else {"expect": service.holder}


class OrderCommand(click.Command):
    """A command that shows how it is given where it cannot be taken."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            words = " ".join(_shown(each) for each in self.params if each.name in SHOWN)
            raise click.UsageError(f"{error.format_message().rstrip('.')}: {ctx.command_path} {words}", ctx) from error


SHOWN = {
    "topology": "",
    "service": "",
    "member": "",
    "to": "MEMBER",
    "expect": "MEMBER",
    "minutes": "MINUTES",
    "reason": "WHY",
}
"""What stands in that line, with what options take."""


def _shown(parameter: click.Parameter) -> str:
    name = str(parameter.name)
    word = f"--{name} {SHOWN[name]}" if isinstance(parameter, click.Option) else name.upper()
    return word if parameter.required else f"[{word}]"


def _order_command(verb: str, form: type[Order]) -> click.Command:
    """The command of one verb, from its form: the member is an argument, everything else an option."""
    parameters: list[click.Parameter] = [click.Argument(["topology"]), click.Argument(["service"])]
    described = msgspec.json.schema_components([form])[1][form.__name__]["properties"]
    for field in msgspec.structs.fields(form):
        if field.name == "by":
            continue
        shape = described[field.name].get("anyOf", [described[field.name]])[0]
        kind = Length() if shape["type"] == "number" else str
        if field.name == "member":
            parameters.append(click.Argument([field.name], required=field.required, type=kind))
        else:
            help_ = _help(shape.get("description"), field.default)
            parameters.append(click.Option([f"--{field.name}"], required=field.required, type=kind, help=help_))

    def give(topology: str, service: str, wait: bool, at_most: float, as_json: bool, **given: Any) -> None:
        manner = Manner(wait, at_most, as_json, given.pop("yes", True))
        said = {"by": getpass.getuser()} | {key: value for key, value in given.items() if value is not None}
        _give(Ordered(topology, service, verb, said.get("to") or said.get("member")), said, manner)

    command = OrderCommand(verb, params=parameters, callback=give, help=form.__doc__)
    for option in (*((YES,) if verb in MOVES else ()), WAIT, AT_MOST, JSON):
        option(command)
    return reaching(command)


def _help(description: str | None, default: object) -> str | None:
    """An order that does not name it takes the default, wherever it is answered."""
    return f"{description}, or as 30m, 2h, 1d  [default: {default:g}]" if isinstance(default, float) else description


for _verb, _form in VERBS.items():
    main.add_command(_order_command(_verb, _form))
