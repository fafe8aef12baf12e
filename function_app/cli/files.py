"""Files as commands are given them: documents of an operator, and keys."""

import sys
from pathlib import Path
from typing import IO

import click

from function_app.cli.ends import WRONG, refuse
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
LAB = click.option("--lab", is_flag=True, help="Allow loopback addresses, as a lab on one machine has them.")


def read(file: Path, lab: bool) -> Topology:
    """Ends with 2 where it is no topology."""
    try:
        return decode(text_of(file), Place(allow_loopback=lab))
    except BadInput as error:
        refuse(file, error)


def file_or_topology(given: str) -> Path | None:
    """The file, where one is named; None for the name of a topology. Raises UsageError for a file that is not there."""
    file = Path(given)
    if not file.is_file() and (file.suffix or file.name != given):
        raise click.UsageError(f"file {given!r} does not exist, and it is no name of a topology")
    return file if file.is_file() else None


def text_of(file: Path) -> str:
    """Raises BadInput."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        rule = "UTF-16, as PowerShell's > writes it: save it as UTF-8" if is_utf_16 else f"not UTF-8: {error.reason}"
        raise BadInput.of("$", rule) from error


MASTER_KEY = "az functionapp keys list --query masterKey --output tsv prints the key"
FUNCTION_KEY = "az functionapp function keys list --function-name NAME prints those of a function"


def key_in(file: IO[bytes], where_from: str) -> str:
    """The key in a file, which HTTP carries in a header. Ends with 2, before any request, where there is none, and says
    where one is from."""
    try:
        key = file.read().decode("ascii").strip()
    except UnicodeDecodeError:
        wrong = "is no key, which is in ASCII"
    else:
        if key.isprintable() and key and " " not in key:
            return key
        wrong = "holds more than one key" if key else "is empty"
    click.echo(f"{file.name} {wrong}: {where_from}", err=True)
    sys.exit(WRONG)
