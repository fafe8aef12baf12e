"""python -m tools.load_balancer: balance until SIGTERM or SIGINT. Prints `ready ADDRESS:PORT` once it listens.

Exit status: 0 after a stop, 1 when it cannot listen, 2 for wrong arguments.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from ipaddress import IPv4Address
from pathlib import Path

from tools.load_balancer.balancer import LoadBalancer, Options


async def run(options: Options) -> None:
    balancer = LoadBalancer(options)
    serving = asyncio.create_task(balancer.serve())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    print(f"ready {balancer.address[0]}:{balancer.address[1]}", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.load_balancer", description="Probe and forward on loopback.")
    parser.add_argument("--simulator", required=True, help="https://127.0.0.1:PORT")
    parser.add_argument("--ca", type=Path, help="PEM file of the simulator's certificate authority")
    parser.add_argument("--name", required=True, help="the load balancer's name in the simulator")
    parser.add_argument("--frontend", type=IPv4Address, required=True)
    parser.add_argument("--port", type=int, required=True, help="UDP, also the backends' port; 0 takes any free one")
    parser.add_argument("--probe-scale", type=float, default=1.0, help="probe this many times as often as configured")
    given = parser.parse_args()
    if given.probe_scale <= 0:
        parser.error("--probe-scale must be above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    options = Options(given.simulator, given.ca, given.name, given.frontend, given.port, given.probe_scale)
    try:
        asyncio.run(run(options))
    except OSError as unusable:
        print(f"error: {given.frontend}:{given.port}: {unusable}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
