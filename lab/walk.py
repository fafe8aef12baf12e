"""`make walk`: everything that the operating guide's first-topology walk needs, with no topology in force yet.

Serves until Ctrl-C. Writes `build/walk/env`, which a shell reads first, and `build/walk/first.yaml`, the document to begin
with. The guide's commands are the same against Azure, but for those that register the simulator as a cloud.
"""

import asyncio
import shlex
import sys
from pathlib import Path

import yaml

from lab.stack import NVAS, ROOT, Stack
from tools.processes import ToolError, end_as_by_ctrl_c

PLACE = Path("build") / "walk"
ADOPT = "  # adopt: {nva-a: nva-a-by-hand}\n"
"""In the document, and for the walk to uncomment."""


async def walk(place: Path) -> None:
    """Serves for ever. Raises ToolError."""
    async with Stack.make() as stack:
        await stack.up(in_force=False)
        place.mkdir(parents=True, exist_ok=True)
        (place / "first.yaml").write_text(first(stack))
        (place / "env").write_text(environment(stack, place))
        print(f"ready: in another terminal, follow docs/operating.md: . {place / 'env'}\nCtrl-C ends it.", flush=True)
        await asyncio.Event().wait()


def first(stack: Stack) -> str:
    """The document, with what adopts a peering made by hand still commented out."""
    text = yaml.safe_dump(stack.topology(), sort_keys=False)
    head, found, tail = text.partition("speakers:\n")
    assert found
    return f"{head}{ADOPT}{found}{tail}"


def environment(stack: Stack, place: Path) -> str:
    """What a deployment's operator has: the settings, the command lines on the path; and where the simulator is."""
    settings = stack.app_environment() | {
        "ARM": stack.simulator_url,
        "AZURE_CONFIG_DIR": str((place / "azure").resolve()),
        **{name.upper().replace("-", "_"): stack.nva_address(name) for name in NVAS},
    }
    programs = f"{Path(sys.executable).parent}:{ROOT / 'build' / 'az' / 'bin'}"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*lines, f"export PATH={shlex.quote(programs)}:$PATH"]) + "\n"


def main() -> int:
    end_as_by_ctrl_c()
    try:
        asyncio.run(walk(PLACE))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
