"""One world: plays one case, and says what came of it as one line of JSON.

    python -m lab.networks.world CASE --directory DIR [--hubs frr bird] [--quick]

Runs inside namespaces of its own (`packets.namespaces.command`), and everything that it started ends with it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from lab.networks.cases import CASES, EXAMPLES, topology
from lab.networks.daemons import AGENT_FILES
from lab.networks.findings import Findings
from lab.networks.network import Network, Order
from lab.packets import namespaces
from tools.processes import ToolError


async def played(name: str, directory: Path, order: Order) -> dict[str, Any]:
    """Raises ToolError, OSError or CalledProcessError where the lab itself fails, not what is tried in it."""
    case = CASES[name]
    network = Network(case.plan(topology(case)), directory)
    await network.up()
    findings = Findings()
    await case.play(network, order, findings)
    head = {"case": name, "example": EXAMPLES[name], "title": case.title, "vendors": network.vendors}
    return {**head, **findings.as_document()}


def _own_agent_files() -> None:
    """A /var/lib of this world's: what a rendered configuration includes from there is of no other world."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"], check=True)
    AGENT_FILES.mkdir()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.networks.world", description=__doc__)
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--hubs", nargs=2)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    hubs = tuple(given.hubs) if given.hubs else None
    try:
        namespaces.settle_in()
        _own_agent_files()
        document = asyncio.run(played(given.case, given.directory.resolve(), Order(hubs, given.quick)))
    except (ToolError, CalledProcessError, OSError) as error:
        words = getattr(error, "stderr", None)
        document = {"failed": f"{error}{f': {words}' if words else ''}"}
    print(json.dumps(document), flush=True)
    return 0 if document.get("passed") else 1


if __name__ == "__main__":
    sys.exit(main())
