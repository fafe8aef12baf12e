"""Every command that the documents tell to type exists and takes what it is given, as the tool itself parses it.

`az` parses them itself, without running anything; `hopkeeper` and the agent are in tests/architecture/test_documents.py.
azd and Core Tools cannot be had here: of theirs the commands are known by name; what values azd takes is in
tests/infra/test_azd.py.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.preflight_world import World

ROOT = Path(__file__).resolve().parents[2]
AZ = ROOT / "build" / "az" / "bin" / "python"
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/*.md",
        "docs/adr/*.md",
        "nva_agent/*.md",
        "infra/**/*.md",
        "infra/hooks/*.sh",
        "azure.yaml",
    )
    for page in ROOT.glob(pattern)
)
FENCED = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
PARTS = re.compile(r"\|\|?|&&|;|\$\(|\bthen\b|\bdo\b|(?<=\w)\)|\n|\"\$\(")
BEFORE = re.compile(r"""^["\s]*(?:\w+=\S*\s+)*(?:run: )?""")  # quotes that a split left, and settings for one command
# "Azure Developer CLI reference" and "Core Tools reference", as far as the documents use them.
OTHERS = {
    "azd": {"auth login", "deploy", "down", "env get-value", "env get-values", "env new", "env select", "env set"}
    | {"package", "provision", "up"},
    "func": {"azure functionapp publish", "start"},
}
# Not in az itself: `az` installs the extension when it is first used.
EXTENSIONS = {"network bastion": "bastion"}


def commands(program: str) -> list[tuple[str, bool, list[str]]]:
    """(page, whether it is meant to be typed as it stands, its arguments) of every command line of `program`."""
    found = []
    for page in PAGES:
        for line, typed in _lines(page):
            if line.startswith(f"{program} ") and (arguments := _split(line)):
                found.append((str(page.relative_to(ROOT)), typed, arguments[1:]))
    return found


def _lines(page: Path) -> Iterator[tuple[str, bool]]:
    text = page.read_text()
    for block in FENCED.findall(text) if page.suffix == ".md" else [text]:
        yield from ((BEFORE.sub("", part), True) for part in PARTS.split(block.replace("\\\n", " ")))
    if page.suffix != ".md":
        return
    yield from ((span, False) for span in SPAN.findall(FENCED.sub("", text)))


def _split(line: str) -> list[str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quote that a split took its other half of
        words = shlex.split(line.replace('"', "").replace("'", ""), comments=True)
    stop = next((i for i, word in enumerate(words) if word[:1] in (">", "<") or word in ("…", "...", "2>&1")), None)
    return words[:stop]


def refusals(lines: list[list[str]]) -> list[str]:
    """What `az` says of each list of arguments; "" where it takes them. Skips without `az`."""
    if not AZ.exists():
        pytest.skip("Azure's command line is not installed (make az installs it): its commands were not compared")
    ran = subprocess.run(
        [AZ, Path(__file__).with_name("az_parse.py")],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AZURE_CONFIG_DIR": str(ROOT / "build" / "az-config")},
    )
    found: list[str] = json.loads(ran.stdout)
    return found


def test_every_command_of_az_exists_and_takes_its_arguments() -> None:
    lines = [line for line in commands("az") if " ".join(line[2][:2]) not in EXTENSIONS]
    assert len(lines) > 20
    wrong = []
    for (page, typed, arguments), said in zip(lines, refusals([each for *_, each in lines]), strict=True):
        left_open = not typed and "arguments are required" in said  # a span may name a command and leave out the rest
        if said and not left_open and "value: '$" not in said:  # what a variable of a script holds is not known
            wrong.append(f"{page}: az {' '.join(arguments)}: {said}")
    assert wrong == []


def test_what_preflight_says_to_do_is_a_command_that_az_takes() -> None:
    """Of an app's subnet that has nothing: every command of the remedies."""
    world = World.clean()
    world.subnet(table=None, nat_gateway=False)
    advised = [command for finding in world.report().findings for command in finding.do.split(" && ")]
    assert advised
    assert set(refusals([_split(command)[1:] for command in advised])) == {""}


@pytest.mark.parametrize("program", OTHERS)
def test_every_command_of_azd_and_of_core_tools_is_known(program: str) -> None:
    known = OTHERS[program]
    lines = commands(program)
    assert lines
    assert [
        f"{page}: {program} {' '.join(arguments)}"
        for page, _, arguments in lines
        if arguments and not any(" ".join(arguments).startswith(each) for each in known)
    ] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {(page, arguments[0]) for page, _, arguments in commands("make") if arguments}
    assert {each for each in named if each[1] not in targets and "=" not in each[1]} == set()
