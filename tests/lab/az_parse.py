"""Run by Azure's own command line's Python, not by ours: parses command lines as `az` does and runs none of them.

Standard input: a JSON list of lists of arguments, without the leading `az`. Standard output: for each, "" where it
parses, else what `az` would say.
"""

import contextlib
import io
import json
import sys

from azure.cli.core import get_default_cli
from azure.cli.core.commands.events import EVENT_INVOKER_POST_LOAD_ARGUMENTS, EVENT_INVOKER_PRE_LOAD_ARGUMENTS
from knack.events import EVENT_INVOKER_POST_CMD_TBL_CREATE


def said_of(arguments: list[str]) -> str:
    """As AzCliCommandInvoker.execute begins, up to the parse."""
    cli = get_default_cli()
    invoker = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    cli.invocation, loader = invoker, invoker.commands_loader
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            loader.load_command_table(arguments)
            command = invoker._rudimentary_get_command(arguments)
            loader.command_name = invoker.data["command_string"] = command
            if command not in loader.command_table:
                return f"there is no command 'az {' '.join(arguments)}'"
            cli.raise_event(EVENT_INVOKER_PRE_LOAD_ARGUMENTS, commands_loader=loader)  # brings --subscription
            loader.load_arguments(command)
            cli.raise_event(EVENT_INVOKER_POST_LOAD_ARGUMENTS, commands_loader=loader)
            cli.raise_event(EVENT_INVOKER_POST_CMD_TBL_CREATE, commands_loader=loader)  # makes --ids stand for the rest
            invoker.parser.load_command_table(loader)
            invoker.parser.parse_args(arguments)
        except SystemExit:
            return said.getvalue().strip().partition("\n")[0] or "refused without a word"
    return ""


json.dump([said_of(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
