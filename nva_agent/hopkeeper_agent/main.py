"""The agent's command line: run it, make its key, check a configuration, stop a speaker that still runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from hopkeeper_agent import __version__, config, loading, logs
from hopkeeper_agent.agent import Agent
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.config import Config
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.delivery import HttpPost
from hopkeeper_agent.enroll import enroll
from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.jws import BadKey, Signer
from hopkeeper_agent.reports import report
from hopkeeper_agent.status import unknown

log = logging.getLogger(__name__)

FILES_MAX = 65536
NO_WITNESS = (
    "agent.witness is not set: no boot is noticed, and a machine restored from a backup would serve by its old disk\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 0 is success, 1 a failure, with its reason on standard error."""
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
                    sys.stdout.write(asyncio.run(_report_once(loaded, signer)))
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
        agent.announce_restart()
    finally:
        await agent.close()


def _allow_many_connections() -> None:
    # Connections that clients hold open must not use up the files that the probe needs to accept one.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES_MAX), most))


async def _report_once(loaded: Config, signer: Signer) -> str:
    """Post a report that claims nothing, which the app takes as a reason to look. Raises ConfigError."""
    target = loaded.reports
    if target is None:
        raise ConfigError("reports: there is no such section, so this agent sends the app no reports")
    issuer = Issuer(loaded.agent.identity, signer, Clock())
    post = HttpPost(target.url, target.key_file)
    try:
        answer = await post.send(report(issuer, "check --live", unknown(issuer.identity, issuer.clock.wall())))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(
            f"reports.url: {target.url}: no answer ({reason}): are name, route and TCP 443 right?"
        ) from error
    finally:
        await post.close()
    if not answer.is_taken:
        raise ConfigError(f"reports.url: {target.url} answers {answer}: {answer.advice()}")
    return f"{target.url} takes reports: {answer}\n"


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
        ("stop-speaker", "stop the ExaBGP that an agent left running; its BGP sessions go down"),
    ):
        command = verbs.add_parser(verb, help=text, description=text)
        command.add_argument("config", type=Path, metavar="CONFIG")
        if verb == "check":
            command.add_argument(
                "--live", action="store_true", help="also post a report, and show what the app answers"
            )
    text = "make the agent's key and certificate in DIR unless they exist, and print the certificate"
    command = verbs.add_parser("enroll", help=text, description=text)
    command.add_argument("directory", type=Path, metavar="DIR")
    command.add_argument("--name", required=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
