"""What a person must agree to before it is done: on a terminal, or by --yes."""

import sys

import click

YES = click.option("--yes", is_flag=True, help="Do it without a question.")


def need_terminal(what: str) -> None:
    """Ends with 2 where there is none."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what}: give --yes where there is no terminal to confirm it on")


def is_agreed() -> bool:
    if click.confirm("Go on?", err=True):
        return True
    click.echo("nothing was ordered", err=True)
    return False
