"""`hopkeeper-simulator`, or `python -m simulator`: serve a simulated Azure until it is stopped, or print a seed for it.

`serve` prints `ready https://127.0.0.1:PORT` when it can be used, and below how clients find it. It ends on SIGTERM and
SIGINT, and everything that it started ends with it. Without a verb the arguments are those of `serve`.
"""

import argparse
import asyncio
import importlib.util
import json
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from simulator import clients, seeds
from simulator.bgp import BgpConfig
from simulator.seed_file import SeedError, read
from simulator.server import Simulator, SimulatorConfig
from simulator.template import Scope

UNUSABLE = 2
DESCRIPTION = """A small Azure on this machine: Route Servers, load balancers and what is around them, for tests of scripts
and tools. What it simulates, and how surely, is in docs/simulator.md of the project."""


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="hopkeeper-simulator", description=DESCRIPTION)
    whole.add_argument("--version", action="version", version=_version())
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("init", help="print a seed to begin with: a hub with two NVAs behind a load balancer")
    served = verbs.add_parser("serve", help="serve the world of a seed on 127.0.0.1 until Ctrl-C")
    served.add_argument(
        *("--seed", "-s"), type=Path, default=[], action="append", metavar="FILE",
        help="JSON: an export of Azure, or what `init` prints; several are put together",
    )  # fmt: skip
    served.add_argument("--port", type=int, default=0, help="without it a free one")
    served.add_argument(
        *("--pace", "--time-factor"), type=float, default=1.0, metavar="N", dest="pace",
        help="how many times faster than Azure; 1 without it: a peering takes 80 s",
    )  # fmt: skip
    served.add_argument(
        *("--state-dir", "--state"), type=Path, metavar="DIR", dest="state",
        help="where ca.pem, env and BGP's files go; without it a temporary one",
    )  # fmt: skip
    served.add_argument(
        "--subscription",
        default=seeds.SUBSCRIPTION,
        metavar="ID",
        help="of resources without an id: those of a template",
    )
    served.add_argument("--resource-group", default=seeds.GROUP, metavar="NAME", help="likewise")
    served.add_argument("--http", action="store_true", help="without TLS, which az and the SDK insist on")
    served.add_argument("--bgp", action="store_true", help="Route Server instances receive real BGP, with ExaBGP")
    served.add_argument("--bgp-port", type=int, default=None, help="1790 if not given; implies --bgp")
    served.add_argument("--bgp-hold", type=int, default=180, help="hold time in seconds, not scaled")
    served.add_argument(
        "--event-subscriber", action="append", default=[], metavar="URL", help="gets Event Grid's events"
    )
    served.add_argument(
        "--alert-webhook", action="append", default=[], metavar="URL", help="gets Azure Monitor's alerts"
    )
    return whole


def _version() -> str:
    """Of the distribution; a checkout has none."""
    try:
        return version("hopkeeper-simulator")
    except PackageNotFoundError:
        return "a checkout"


def config_of(given: argparse.Namespace) -> SimulatorConfig:
    """Raises SeedError, and ValueError for what cannot be served."""
    if not given.pace > 0:
        raise ValueError(f"--pace {given.pace}: must be above 0; 20 is twenty times faster than Azure")
    if not given.seed:
        raise ValueError("--seed FILE is missing; `hopkeeper-simulator init` prints a seed to begin with")
    bgp = BgpConfig(given.bgp_port or 1790, given.bgp_hold) if given.bgp or given.bgp_port else None
    if bgp is not None and importlib.util.find_spec("exabgp") is None:
        raise ValueError("--bgp: ExaBGP is not installed: pip install 'hopkeeper-simulator[bgp]'")
    seed = read(given.seed, Scope(given.subscription, given.resource_group))
    if bgp is not None and seed.get("bgp"):
        raise ValueError("--bgp: the seed's part bgp says what peers announce; have one of the two")
    return SimulatorConfig(
        seed=seed,
        port=given.port,
        state=given.state.absolute() if given.state is not None else None,
        time_factor=given.pace,
        tls=not given.http,
        bgp=bgp,
        event_subscribers=tuple(given.event_subscriber),
        alert_webhooks=tuple(given.alert_webhook),
    )


async def serve(config: SimulatorConfig) -> None:
    """Until a signal. Raises OSError where the port is taken, RuntimeError where BGP does not start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(config) as simulator:
        sys.stdout.write(f"ready {simulator.url}\n{_directed(simulator)}")
        sys.stdout.flush()
        await stop.wait()


def _directed(simulator: Simulator) -> str:
    """Writes what a shell reads, and says where it is."""
    subscription = next(iter(simulator.world.state.resources.scopes()), seeds.SUBSCRIPTION)
    shell = simulator.directory / "env"
    shell.write_text(
        clients.exports(clients.environment(simulator.url, simulator.directory, simulator.ca_path, subscription))
    )
    return clients.directions(simulator.url, shell, simulator.ca_path)


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    is_served = words[:1] != [] and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")
    given = parser().parse_args(["serve", *words] if is_served else words)
    if given.verb == "init":
        sys.stdout.write(json.dumps(seeds.example(), indent=2) + "\n")
        return 0
    try:
        asyncio.run(serve(config_of(given)))
    except SeedError as error:
        sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
        return UNUSABLE
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
