"""`make host`: the Function App on 127.0.0.1:7071 over the simulator, with two NVAs and a topology in force, until Ctrl-C.

Writes `build/host/env`, which a shell reads for the command line: it goes over the app then, as an operator's does.
"""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from lab import keys
from lab.stack import ROOT, TOPOLOGY, Stack
from tools.processes import ToolError, end_as_by_ctrl_c
from tools.release.package import unpacked

PLACE = Path("build") / "host"


async def serve(root: Path, port: int, place: Path) -> int:
    async with Stack.make() as stack:
        await stack.up(root, port)
        place.mkdir(parents=True, exist_ok=True)
        (place / "env").write_text(environment(stack))
        status, reconcile = (keys.of_function(stack.keys, name) for name in ("status", "reconcile"))
        print(f"Hopkeeper serves on {stack.host_url} over the simulator at {stack.simulator_url}")
        print(f"  the page: {stack.host_url}/api/  (with the key {keys.of_role(stack.keys, keys.OPERATE)})")
        print(f"  the command line: . {place / 'env'}, then hopkeeper status {TOPOLOGY}")
        print(f"  curl -s -H 'x-functions-key: {status}' {stack.host_url}/api/status/{TOPOLOGY}")
        print(
            f"  curl -s -X POST -H 'x-functions-key: {reconcile}' '{stack.host_url}/api/reconcile/{TOPOLOGY}?dry_run=true'"
        )
        print(f"  logs: {stack.programs.logs}\nCtrl-C ends it.", flush=True)
        await asyncio.Event().wait()
    return 0


def environment(stack: Stack) -> str:
    """What an operator has: the app's address, a key in a file, and the command line on the path."""
    key = stack.directory / "operate.key"
    key.write_text(keys.of_role(stack.keys, keys.OPERATE))
    settings = {"HOPKEEPER_APP": stack.host_url, "HOPKEEPER_KEY_FILE": str(key)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*lines, f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.serve", description=__doc__)
    parser.add_argument("--package", type=Path, default=ROOT, help="the app: a directory, or the zip of make package")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--place", type=Path, default=PLACE, help="where the env is written")
    given = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    try:
        with unpacked(given.package) as root:
            return asyncio.run(serve(root, given.port, given.place))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
