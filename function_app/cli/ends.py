"""How every command ends, and what it prints at its end.

| status | means |
|---|---|
| 0 | well |
| 1 | something is wrong, held or refused; or the command was interrupted |
| 2 | the command line, a document or a setting cannot be used |
| 3 | nothing is known of now: nothing has looked lately, or what was to answer did not |
"""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from function_app.domain.base.errors import BadInput, HopkeeperError, NotAuthentic, NotNow, NotPermitted, Unavailable
from function_app.reconcile.documents.outcome import OutcomeAnswer
from function_app.reconcile.passes.outcome import Ending

TROUBLE = 1
WRONG = 2
STALE = 3
ENDS = {"well": 0, "trouble": TROUBLE, "stale": STALE}
WELL = tuple(ending.word for ending in (Ending.CONVERGED, Ending.ACCEPTED, Ending.PENDING))

JSON = click.option("--json", "as_json", is_flag=True, help="As JSON, of the schemas in contracts/documents.")


ENDS_OF: tuple[tuple[type[HopkeeperError], int], ...] = (
    (NotNow, TROUBLE),
    (BadInput, WRONG),
    (NotAuthentic, WRONG),
    (NotPermitted, WRONG),
    (Unavailable, STALE),
    (HopkeeperError, TROUBLE),
)
"""The first that an error is."""


def run[T](work: Coroutine[Any, Any, T], file: Path | None = None) -> T:
    """`file` is what is said to be wrong, where it is."""
    try:
        return asyncio.run(work)
    except HopkeeperError as error:
        if isinstance(error, BadInput) and not isinstance(error, NotNow) and file is not None:
            refuse(file, error)
        click.echo(f"hopkeeper: {error}", err=True)
        sys.exit(next(end for kind, end in ENDS_OF if isinstance(error, kind)))


def show_outcome(outcome: OutcomeAnswer, as_json: bool) -> None:
    if as_json:
        show(outcome)
        return
    click.echo(outcome.outcome)
    for reason in outcome.reasons:
        click.echo(f"  {reason}")


def show(document: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def refuse(file: Path, error: BadInput) -> NoReturn:
    many = len(error.problems)
    click.echo(f"{file} cannot be used: {many} fault{'s' * (many > 1)}", err=True)
    for problem in error.problems:
        line = "" if problem.line is None else f"line {problem.line}, "
        click.echo(f"  {line}{problem}", err=True)
    sys.exit(WRONG)
