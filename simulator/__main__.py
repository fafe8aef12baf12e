"""`python -m simulator`: serve a simulated Azure until it is stopped.

Prints one line, `ready https://127.0.0.1:PORT`, when it can be used. Ends on SIGTERM and SIGINT, and everything it
started ends with it.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from simulator.bgp import BgpConfig
from simulator.server import Simulator, SimulatorConfig


def parse(arguments: list[str]) -> SimulatorConfig:
    parser = argparse.ArgumentParser(prog="simulator", description="A small Azure for Hopkeeper's demo, lab and tests.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--seed", type=Path, required=True, help="a JSON file, see the package's docstring")
    parser.add_argument("--state", type=Path, required=True, help="a directory for ca.pem and BGP's files")
    parser.add_argument("--time-factor", type=float, default=1.0, help="how many times faster than Azure")
    parser.add_argument("--http", action="store_true", help="without TLS")
    parser.add_argument("--bgp", action="store_true", help="Route Server instances receive real BGP")
    parser.add_argument("--bgp-port", type=int, default=None, help="1790 if not given; implies --bgp")
    parser.add_argument("--bgp-hold", type=int, default=180, help="hold time in seconds, not scaled")
    parser.add_argument("--event-subscriber", action="append", default=[], metavar="URL")
    parser.add_argument("--alert-webhook", action="append", default=[], metavar="URL")
    given = parser.parse_args(arguments)
    if given.time_factor <= 0:
        parser.error("--time-factor must be above 0")
    bgp = BgpConfig(given.bgp_port or 1790, given.bgp_hold) if given.bgp or given.bgp_port else None
    return SimulatorConfig(
        seed=json.loads(given.seed.read_text()),
        port=given.port,
        state=given.state.absolute(),
        time_factor=given.time_factor,
        tls=not given.http,
        bgp=bgp,
        event_subscribers=tuple(given.event_subscriber),
        alert_webhooks=tuple(given.alert_webhook),
    )


async def serve(config: SimulatorConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(config) as simulator:
        sys.stdout.write(f"ready {simulator.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(parse(sys.argv[1:])))
