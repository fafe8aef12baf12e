"""What preflight says to do about the app's way out is said in words that Azure's own command line takes."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.preflight_world import World

AZ = Path(__file__).resolve().parents[2] / "build" / "az" / "bin" / "az"


def commands() -> list[str]:
    """Of a subnet with nothing: every command of the remedies."""
    world = World.clean()
    world.subnet(table=None, nat_gateway=False)
    return [command for finding in world.report().findings for command in finding.do.split(" && ")]


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(re.findall(r"^az (.*?) -", command)))
def test_a_remedy_is_a_command_that_az_has_with_flags_that_it_takes(command: str) -> None:
    if not AZ.exists():
        pytest.skip("Azure's command line is not installed (make az installs it): the remedies were not compared")
    verb = re.split(r" -", command)[0].removeprefix("az ").split()
    told = subprocess.run([AZ, *verb, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    taken = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", told.stdout))
    assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", command)) <= taken
