"""Runs commands of Azure's command line in one process, as its own scenario tests do: it starts once, not once a command.

    build/az/bin/python tests/lab/az_runner.py < commands.json

Reads one list of arguments a line; writes one JSON object a line: the exit code, what was printed, and the error's words.
"""

import contextlib
import io
import json
import logging
import sys
import time

from azure.cli.core import get_default_cli


def run(arguments: list[str]) -> dict[str, object]:
    said, errors = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(errors)
    logging.getLogger("cli").addHandler(handler)
    began = time.monotonic()
    cli = get_default_cli()
    try:
        with contextlib.redirect_stderr(errors):
            code = cli.invoke([*arguments, "--only-show-errors"], out_file=said)
    except SystemExit as ended:
        code = ended.code
    finally:
        logging.getLogger("cli").removeHandler(handler)
    error = str(cli.result.error) if cli.result and cli.result.error else ""
    return {
        "code": code,
        "out": said.getvalue(),
        "error": errors.getvalue() + error,
        "seconds": round(time.monotonic() - began, 2),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
