"""`python -m tests.unit.agent.pinging`, in a network namespace of its own: prints what a ping of two addresses says."""

import asyncio
import json
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

from hopkeeper_agent.checks import Check, PingTrial, try_once

PERMITTED = Path("/proc/sys/net/ipv4/ping_group_range")


async def main() -> None:
    said = [await try_once(Check("me", PingTrial(IPv4Address("127.0.0.1"))))]
    PERMITTED.write_text("0 0")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ("127.0.0.1", "192.0.2.1"):
        said.append(await try_once(Check("it", PingTrial(IPv4Address(address)), timeout_seconds=0.5)))
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main())
