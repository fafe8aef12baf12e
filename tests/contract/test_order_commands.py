"""Orders as an operator gives them: traffic is moved only after a yes, and the end says what came of it."""

import asyncio
import os
import pty
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from function_app.cli import main
from function_app.cli.parameters import Length
from tests.contract.test_status_command import environment
from tests.contract.test_verify_command import ROOT, hopkeeper
from tests.unit.adapters.fake_agent import private_pem

__all__ = ["environment"]


@pytest.mark.parametrize(
    "words", [("switchover", "hub", "fw", "--to", "nva-b"), ("failover", "hub", "fw"), ("drain", "hub", "fw", "nva-a")]
)
def test_without_a_terminal_and_a_yes_no_traffic_is_moved(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, words)
    said = f"{words[0]} moves traffic: give --yes where there is no terminal to confirm it on"
    assert (done.exit_code, said in done.output) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("switchover", "hub", "fw", "nva-b"), "switchover TOPOLOGY SERVICE [--expect MEMBER] --to MEMBER"),
        (("pause", "hub", "fw", "30"), "pause TOPOLOGY SERVICE [--expect MEMBER] [--minutes MINUTES] [--reason WHY]"),
        (("drain", "hub", "fw"), "drain TOPOLOGY SERVICE [--expect MEMBER] MEMBER [--minutes MINUTES]"),
        (("pause", "hub", "fw", "--minutes", "30x"), "'30x' is no time: 30 (minutes), 30m, 2h and 1d are"),
    ],
)
def test_an_order_that_cannot_be_read_shows_how_it_is_given(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, said in done.output) == (2, True), done.output


@pytest.mark.parametrize(("given", "minutes"), [("30", 30), ("0.5", 0.5), ("30m", 30), ("2h", 120), ("1d", 1440)])
def test_a_length_of_time_is_in_minutes_or_has_its_unit(given: str, minutes: float) -> None:
    assert Length().convert(given, None, None) == minutes


async def test_a_no_at_the_table_orders_nothing(environment: dict[str, str]) -> None:
    """On a pseudo terminal; there is no signing key, so that an order could not be given at all."""
    leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "function_app.cli", "switchover", "hub", "fw", "--to", "nva-b"),
        cwd=ROOT,
        env=environment,
        stdin=follower,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.write(leader, b"n\n")
    out, said = await process.communicate()
    os.close(leader)
    os.close(follower)
    lines = said.decode().splitlines()
    assert (process.returncode, out) == (1, b""), lines
    assert lines[-1].endswith("nothing was ordered")
    assert "switchover of fw in hub, which is UNKNOWN (epoch 0)" in lines
    assert "nva-b   may serve  serves" in [line.rstrip() for line in lines]


async def test_an_order_that_is_refused_ends_with_1_and_is_a_document(
    environment: dict[str, str], tmp_path: Path
) -> None:
    signing = {"HOPKEEPER_SIGNING_KEY": private_pem(ec.generate_private_key(ec.SECP256R1()))}
    code, lines = await hopkeeper(environment | signing, "pause", "hub", "fw", "--expect", "nva-b", "--json")
    outcome = msgspec.json.decode("\n".join(lines))
    assert (code, outcome["outcome"], outcome["schema"]) == (1, "refused", "hopkeeper/outcome/1")
    assert "no member is known to serve, and nva-b was expected to" in outcome["reasons"][0]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert (done.exit_code, "_HOPKEEPER_COMPLETE" in done.output) == (0, True)
    wrong = CliRunner().invoke(main, ["completion", "tcsh"])
    assert (wrong.exit_code, "'bash', 'fish', 'zsh'" in wrong.output) == (2, True)
