"""The command line: what an operator does by hand. The same use cases as the triggers, over the same settings.

`hopkeeper --help` lists the commands, each with what it does. They end with 0; with 1 where something is wrong with what
was looked at, or an order was refused; with 2 where the command line or a document cannot be used; with 3 where nothing has
looked lately, so that nothing is known.
"""

from function_app.cli import changing, linting, offline, orders, reading
from function_app.cli.root import main

__all__ = ["changing", "linting", "main", "offline", "orders", "reading"]
