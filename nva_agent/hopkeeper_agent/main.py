"""The agent's command line: run it, show it, make its key, check a configuration, stop a speaker that still runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from hopkeeper_agent import __version__, config, live, loading, logs
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.config import Config
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.door import knock
from hopkeeper_agent.enroll import enroll
from hopkeeper_agent.jws import BadKey, Signer
from hopkeeper_agent.messages import Malformed
from hopkeeper_agent.shown import stored, view
from hopkeeper_agent.state import peek

log = logging.getLogger(__name__)

FILES_MAX = 4096
NOT_RUNNING = 3
END_SECONDS = 3.0
"""An agent that ends is announced to be back within 5 s: no disk that hangs may keep it."""
NO_WITNESS = (
    "agent.witness is not set: no boot is noticed, and a machine restored from a backup would serve by its old disk\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 0 is success, 1 a failure, with its reason on standard error; of `status`: 1 where
    something is wrong, 3 where no agent runs."""
    options = parser().parse_args(arguments)
    try:
        match options.do:
            case "run":
                logs.to_stderr()
                asyncio.run(_run(options.config))
            case "check":
                loaded = config.load(options.config)
                signer = loading.credentials(loaded).signer
                loading.process(loaded)
                loading.report_key(loaded)
                for peer in loaded.peers:
                    loading.neighbour(peer)
                own = loaded.agent.identity
                sys.stdout.write(f"{options.config}: agent {own.agent} of topology {own.topology}\n")
                if loaded.agent.files.witness is None and not loaded.agent.is_witness:
                    sys.stdout.write(NO_WITNESS)
                if options.live:
                    return 0 if asyncio.run(_live(loaded, signer)) else 1
            case "status":
                return _status(options.config, options.json)
            case "enroll":
                sys.stdout.write(enroll(options.directory, options.name))
            case "stop-speaker":
                asyncio.run(_stop_speaker(options.config))
    except (ConfigError, BadKey, OSError, ValueError) as error:
        sys.stderr.write(f"hopkeeper-agent: {error}\n")
        return 1
    return 0


async def _run(path: Path) -> None:
    _allow_many_connections()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    agent = Agent(config.load(path))
    try:
        await agent.start()
        await ended.wait()
        _end_soon()
        agent.announce_restart()
    finally:
        await agent.close()


def _end_soon() -> None:
    """End the process after `END_SECONDS` whatever it waits for: a thread that writes cannot be cancelled."""
    watchdog = threading.Timer(END_SECONDS, _cut_short)
    watchdog.daemon = True
    watchdog.start()


def _cut_short() -> None:
    log.error("ended without waiting", extra={"why": "a write or a program under way does not end"})
    os._exit(1)


def _allow_many_connections() -> None:
    # Connections that clients hold open must not use up the files that the probe needs to accept one.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES_MAX), most))


async def _live(loaded: Config, signer: Signer) -> bool:
    """Print how each trial went; whether all went well."""
    is_well = True
    async for found in live.trials(loaded, signer):
        is_well &= found.is_well
        if found.is_well:
            sys.stdout.write(f"{found.said}\n")
        else:
            sys.stderr.write(f"hopkeeper-agent: {found.said}\n")
    return is_well


def _status(path: Path, as_json: bool) -> int:
    """Print what the running agent shows, or what one that does not run left on disk. Raises ConfigError, PermissionError."""
    loaded = config.load(path)
    directory = loaded.agent.files.state
    try:
        found = asyncio.run(knock(directory))
    except PermissionError:
        raise
    except OSError as error:
        sys.stderr.write(f"hopkeeper-agent: the agent does not run, or not with this file ({error or 'no answer'})\n")
        sys.stdout.writelines(f"{line}\n" for line in _left(directory))
        return NOT_RUNNING
    shown = view(found)
    sys.stdout.write(f"{json.dumps(found, indent=1)}\n" if as_json else "".join(f"{line}\n" for line in shown.lines))
    return 0 if shown.is_well else 1


def _left(directory: Path) -> Sequence[str]:
    """What an agent that does not run left on disk, in lines."""
    try:
        states = peek(directory)
    except (OSError, Malformed) as error:
        return (f"  what it left cannot be read: {error}",)
    return stored({name: (state.turn.epoch, state.role.value) for name, state in states.items()})


async def _stop_speaker(path: Path) -> None:
    process = loading.process(config.load(path))
    if process is None:
        sys.stdout.write("nothing to stop: the agent does not start this speaker itself\n")
        return
    await process.end()


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(prog="hopkeeper-agent", description=__doc__)
    made.add_argument("--version", action="version", version=__version__)
    verbs = made.add_subparsers(dest="do", required=True)
    for verb, text in (
        ("run", "run the agent until SIGTERM; it takes over a running ExaBGP, and leaves it running at the end"),
        ("check", "read the configuration and every file that it names, and say what is wrong"),
        ("status", "show the running agent: roles, why and since when, checks, sessions, what is really sent"),
        ("stop-speaker", "stop the ExaBGP that an agent left running; its BGP sessions go down"),
    ):
        command = verbs.add_parser(verb, help=text, description=text)
        command.add_argument("config", type=Path, metavar="CONFIG")
        if verb == "status":
            command.add_argument("--json", action="store_true", help="all of it, for programs")
        if verb == "check":
            command.add_argument(
                "--live",
                action="store_true",
                help="also try listeners, the speaker's socket, permissions and a report, and look for a second speaker",
            )
    text = "make the agent's key and certificate in DIR unless they exist, and print the certificate"
    command = verbs.add_parser("enroll", help=text, description=text)
    command.add_argument("directory", type=Path, metavar="DIR")
    command.add_argument("--name", required=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
