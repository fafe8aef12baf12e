"""The orders, a command for each verb: made of its form."""

import getpass
import sys
from typing import Any

import click
import msgspec

from function_app import wiring
from function_app.cli.ends import TROUBLE, run, show_outcome
from function_app.cli.root import main
from function_app.domain.service.orders import VERBS, Order
from function_app.reconcile.passes.outcome import Ending, Outcome


def _order(topology: str, service: str, verb: str, **said: Any) -> None:
    async def give() -> Outcome:
        words = {key: value for key, value in said.items() if value is not None}
        return await wiring.use_cases().order(topology, service, verb, {"by": getpass.getuser(), **words})

    outcome = run(give())
    show_outcome(outcome)
    if outcome.ending in (Ending.REFUSED, Ending.FAILED):
        sys.exit(TROUBLE)


def _order_command(verb: str, form: type[Order]) -> click.Command:
    """The command of one verb, from its form: the member is an argument, everything else an option."""
    parameters: list[click.Parameter] = [click.Argument(["topology"]), click.Argument(["service"])]
    described = msgspec.json.schema_components([form])[1][form.__name__]["properties"]
    for field in msgspec.structs.fields(form):
        if field.name == "by":
            continue
        shape = described[field.name].get("anyOf", [described[field.name]])[0]
        kind = float if shape["type"] == "number" else str
        if field.name == "member":
            parameters.append(click.Argument([field.name], required=field.required, type=kind))
        else:
            help_ = shape.get("description")
            parameters.append(click.Option([f"--{field.name}"], required=field.required, type=kind, help=help_))

    def give(topology: str, service: str, **given: Any) -> None:
        _order(topology, service, verb, **given)

    return click.Command(verb, params=parameters, callback=give, help=form.__doc__)


for _verb, _form in VERBS.items():
    main.add_command(_order_command(_verb, _form))
