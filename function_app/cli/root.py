"""The group of commands `hopkeeper`. What each does stands in the modules beside it."""

import logging
from importlib.metadata import entry_points
from typing import Any

import click


@click.group(
    help="Keeps Azure Route Server peerings and NVA advertisements as written down.",
    epilog="Options follow the command: hopkeeper status --app URL --key-file FILE. `status TOPOLOGY` says what is wrong.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="hopkeeper")
def main() -> None:
    """Entry point of `hopkeeper`. What Azure's libraries log of a failed call is in its error already, in fewer words."""
    logging.getLogger("azure").addHandler(logging.NullHandler())


class Brought(click.Command):
    """A command that another package brings as an entry point of `hopkeeper.commands`, loaded when it is called: what plays the
    product is no part of it."""

    def loaded(self) -> click.Command:
        """Raises UsageError where that package is not installed, or lacks something."""
        try:
            (found,) = entry_points(group="hopkeeper.commands", name=str(self.name))
            command: click.Command = found.load()
        except (ValueError, ModuleNotFoundError) as error:
            raise click.UsageError(
                f"{self.name} is not installed here: it comes with a checkout of Hopkeeper. Type make setup there, and then "
                f".venv/bin/hopkeeper {self.name}"
            ) from error
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        return self.loaded().make_context(info_name, args, parent, **extra)


main.add_command(
    Brought("gameday", help="Play every single fault of a topology document over a simulated Azure, in virtual time.")
)
