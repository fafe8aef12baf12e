"""Documents of an operator in files, as commands are given them."""

from difflib import unified_diff
from pathlib import Path

import click

from function_app.cli.ends import refuse
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


def text_of(file: Path) -> str:
    """Raises BadInput."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        rule = "UTF-16, as PowerShell's > writes it: save it as UTF-8" if is_utf_16 else f"not UTF-8: {error.reason}"
        raise BadInput.of("$", rule) from error


def difference(topology: str, before: str, text: str, file: Path) -> list[str]:
    named = f"{topology}, in force", str(file)
    return list(unified_diff(before.splitlines(), text.splitlines(), *named, lineterm=""))
