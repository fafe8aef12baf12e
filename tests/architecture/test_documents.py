"""What documents and examples tell people to type is there: addresses, commands, flags, files, keys of the example."""

import ast
import io
import json
import re
import shlex
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import click
import pytest
from hopkeeper_agent import commands, config, probe
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.main import parser

from function_app.cli import main as hopkeeper
from function_app.cli.root import Brought
from tools.release import agent as release

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "*.md",
    "*.toml",
    "*.yaml",
    "*.bicep",
    "*.service",
    "*.sh",
    "*.txt",
    "lab/demo.py",
    "lab/serve.py",
    "lab/stack.py",
)
EXAMPLE = ROOT / "nva_agent" / "agent.example.toml"
INSTALLED = "/opt/hopkeeper/bin/hopkeeper-agent"

# The platform's own, which the lab's host has as well; and Event Grid's, at a topic.
PLATFORM = {"/runtime/webhooks/EventGrid", "/admin/functions", "/admin/host/status"}
TOPIC = "/topics/hopkeeper/api/events"

MENTION = re.compile(
    r"(?:(GET|POST|PUT|PATCH|DELETE) )?(?:https?://[^\s/]+|(?<![\w/-]))(/(?:api|admin|runtime|v1|probe)/[^\s`'\"|)\\,;?&]*)"
)


def documents() -> Mapping[str, str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *SOURCES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return {name: (ROOT / name).read_text() for name in listed if not name.startswith(("tests/", "contracts/schemas"))}


@cache
def served() -> dict[str, set[str]]:
    """Path and methods of every HTTP function, as the worker's library would index them, and of the agent."""
    code = (
        "import main, json; print(json.dumps([[t.route, [getattr(m, 'value', m) for m in t.methods]] for f in "
        "main.app.get_functions() if (t := f.get_trigger()).get_binding_name() == 'httpTrigger']))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    empty = re.compile(r"\{\w+:maxlength\(0\)\?\}")
    found = {f"/api/{empty.sub('', route)}": set(methods) for route, methods in json.loads(printed)}
    found |= {f"{probe.PATH}{{service?}}": {"GET"}, commands.PATH: {"POST"}}
    return found | {path: {"GET", "POST"} for path in PLATFORM}


def is_served(path: str, method: str | None, routes: Mapping[str, set[str]]) -> bool:
    return any(_fits(path, route) and method in (None, *methods) for route, methods in routes.items())


def _fits(path: str, route: str) -> bool:
    """What is left open in either (`{name}`, `<name>`, `@NAME@`) stands for any one segment."""
    said, there = path.rstrip("/.:").split("/"), route.rstrip("/").split("/")
    while len(there) > len(said) and there[-1].endswith("?}"):
        there.pop()
    open_ = re.compile(r"[{<@$].*|…")
    return len(said) == len(there) and all(
        a.casefold() == b.casefold() or bool(open_.match(b)) for a, b in zip(said, there, strict=True)
    )


def mentions(text: str) -> Iterator[tuple[str | None, str]]:
    for method, path in MENTION.findall(text.replace(TOPIC, "")):
        yield method or None, path


def strangers(texts: Mapping[str, str]) -> list[str]:
    routes = served()
    return [
        f"{name}: {method or ''} {path}"
        for name, text in texts.items()
        for method, path in mentions(text)
        if not is_served(path, method, routes)
    ]


def test_every_address_in_the_documents_is_served() -> None:
    texts = documents()
    assert {"README.md", "nva_agent/agent.example.toml", "docs/architecture.md"} <= set(texts)
    assert sum(1 for text in texts.values() for _ in mentions(text)) > 10
    assert strangers(texts) == []


@pytest.mark.parametrize(
    "line",
    [
        'url = "https://app.azurewebsites.net/api/agents/report"',
        "`GET /api/reports`",
        "`POST /api/topologies/{topology}/services/{service}`",
        "POST /v1/commands",
        "/runtime/webhooks/eventhubs",
    ],
)
def test_an_address_that_is_not_served_is_named(line: str) -> None:
    assert len(strangers({"a.md": line})) == 1


# Command lines


def commands_in(program: str, texts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(document, what stands before the program's name, the rest of the line) of each that is followed by a verb."""
    pattern = re.compile(rf"(?P<before>[\w/.-]*)(?<![\w-]){program} (?P<rest>[a-z][^`|;&#()\n]*)")
    for name, text in texts.items():
        for found in pattern.finditer(text):
            yield name, found["before"], found["rest"].strip()


def agent_lines() -> list[tuple[str, str, list[str]]]:
    found = []
    for name, before, rest in commands_in("hopkeeper-agent", documents()):
        words = shlex.split(rest.rstrip(",.:"), comments=True)
        if (
            words
            and words[0] in ("run", "check", "enroll", "status", "stop-speaker")
            and len(words) > 1
            and words[1][0] in "-/"
        ):
            found.append((name, before, [word.rstrip(",.") for word in words]))
    return found


@pytest.mark.parametrize(("name", "before", "words"), agent_lines(), ids=lambda value: str(value)[:60])
def test_a_command_line_of_the_agent_is_one_and_is_found_where_it_is_installed(
    name: str, before: str, words: list[str]
) -> None:
    if "--name" in words:
        words = words[: words.index("--name") + 2]
    else:
        words = [word for i, word in enumerate(words) if i < 2 or word.startswith("/")]
    try:
        parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"{name}: hopkeeper-agent {' '.join(words)}")
    assert f"{before}hopkeeper-agent" == INSTALLED, f"{name}: {words} is on no PATH"


def test_the_agent_s_command_lines_are_found_at_all() -> None:
    assert {"nva_agent/README.md", "nva_agent/packaging/hopkeeper-agent.service"} <= {n for n, _, _ in agent_lines()}
    assert (release.SOURCE / "packaging" / "install.sh").read_text().count("opt/hopkeeper/bin/hopkeeper-agent") >= 1


CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def app_lines(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Document and arguments of each command line of `hopkeeper`: what stands as code is one, whatever its words are."""
    code = {name: "\n".join(CODE.findall(text)) for name, text in texts.items()}
    plain = {name: CODE.sub("", text) for name, text in texts.items()}
    yield from ((name, rest) for name, _, rest in commands_in("hopkeeper", code))
    yield from ((name, rest) for name, _, rest in commands_in("hopkeeper", plain) if not _is_prose(rest))


def _is_prose(rest: str) -> bool:
    """A sentence about it: its second word is a plain one."""
    return bool(re.match(r"[a-z]+ [a-z]+\b(?![-/.])", rest))


def not_commands(texts: Mapping[str, str]) -> Iterator[str]:
    """The verbs and flags that `hopkeeper` does not have."""
    assert isinstance(hopkeeper, click.Group)
    for name, rest in app_lines(texts):
        verb, *words = rest.split()
        command = hopkeeper.commands.get(verb.strip(",.:"))
        if command is None:
            yield f"{name}: hopkeeper {rest}"
            continue
        command = command.loaded() if isinstance(command, Brought) else command
        flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        said = {word.strip("[],.:").partition("=")[0] for word in words if word.strip("[").startswith("--")}
        yield from (f"{name}: hopkeeper {verb} {flag}" for flag in sorted(said - flags))


def test_a_verb_and_a_flag_of_hopkeeper_are_ones_that_it_has() -> None:
    pages = {name: text for name, text in documents().items() if name.endswith(".md")}
    assert len(list(app_lines(pages))) > 40
    assert list(not_commands(pages)) == []


@pytest.mark.parametrize(
    "text",
    [
        "`hopkeeper verify hub --freshh`",
        "`hopkeeper verfy hub`",
        "```\nhopkeeper drain hub fw nva-a --minuts 5\n```",
        "`hopkeeper explains itself`",
        "type hopkeeper verfy hub-1",
    ],
)
def test_a_command_that_is_none_is_named(text: str) -> None:
    assert len(list(not_commands({"a.md": text}))) == 1


def test_a_sentence_about_hopkeeper_is_no_command() -> None:
    assert list(not_commands({"a.md": "what hopkeeper does here, and `hopkeeper-agent run` there"})) == []


# Files and keys


def test_every_file_that_a_document_links_to_is_there() -> None:
    missing = [
        f"{name}: {target}"
        for name, text in documents().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert missing == []


def commented() -> dict[str, str]:
    """What the example shows as comments, by what it is: each is a table that may be written."""
    text = EXAMPLE.read_text()
    blocks = re.findall(r"^# (\[\[speaker\.\w+\]\])\n((?:# \w+ = .*\n(?:#  .*\n)*)+)", text, re.MULTILINE)
    return {head: re.sub(r"^# ?", "", f"{head}\n{body}", flags=re.MULTILINE) for head, body in blocks}


def test_what_the_example_shows_as_a_comment_is_read_as_well() -> None:
    found = commented()
    assert set(found) == {"[[speaker.neighbors]]", "[[speaker.clients]]", "[[speaker.relays]]"}
    text = EXAMPLE.read_text()
    more = [
        f'[[speaker.neighbors]]\naddress = "{address}"\nasn = 65515\n' for address in ("10.20.0.4", "10.20.0.5")
    ]  # of the second Route Server, which the relay leads to
    decoded = config.decode("\n".join([text, *more, *found.values()]))
    assert decoded.speaker is not None
    for head, block in found.items():
        (key,) = list(tomllib.loads(block)["speaker"])
        spoilt = block + "nobody_reads_this = 1\n"
        with pytest.raises(ConfigError, match=rf"speaker\.{key}\[\d\]\.nobody_reads_this: unknown key"):
            config.decode("\n".join([text, *more, *(b if h != head else spoilt for h, b in found.items())]))


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_the_keys_that_the_example_shows_for_an_operator_s_daemon_are_read(kind: str) -> None:
    text = EXAMPLE.read_text()
    shown = text.partition(f'# kind = "{kind}":')[2].partition("\n#\n")[0].partition("\n\n")[0]
    keys = re.findall(r"^#   (\w+ = \S+)", shown, re.MULTILINE)
    assert len(keys) >= 2
    own = ("address", "router_id", "port", "hold_time", "announces", "as_override")
    speaker = text.partition("[speaker]")[2]
    for key in own:
        speaker = re.sub(rf"^{key} = .*\n", "", speaker, count=1, flags=re.MULTILINE)
    speaker = speaker.replace('kind = "exabgp"', "\n".join([f'kind = "{kind}"', *keys]), 1)
    assert config.decode(f"{text.partition('[speaker]')[0]}[speaker]{speaker}").speaker is not None


# Words

RIDDLES = re.compile(
    r"\b(?:nobody(?:'s)?|somebody(?:'s)?|whom|told|tells|heard|asked(?! questions)|asks|of before)\b", re.I
)
"""Words for which these pages have better ones (docs/glossary.md): commanded, reported, requested, unreachable, another owner."""


def riddles(texts: Mapping[str, str]) -> list[str]:
    """Lines of prose with such a word; what stands as code is a name or a recorded text."""
    plain = {name: re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S) for name, text in texts.items()}
    return [f"{name}: {line}" for name, text in plain.items() for line in text.splitlines() if RIDDLES.search(line)]


def test_the_pages_are_in_plain_words() -> None:
    pages = {n: t for n, t in documents().items() if n.startswith("docs/") or n in ("README.md", "CONTRIBUTING.md")}
    del pages["docs/glossary.md"]  # it names the words to avoid
    assert len(pages) > 25
    assert riddles(pages) == []


def sentences(code: str) -> str:
    """What of a module is written for people, a line each: docstrings, messages, comments. A text without a blank is a key,
    and what stands before a colon is where something is wrong (`heard: not an object`)."""
    texts = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    lines = [line for text in (*texts, *comments) if isinstance(text, str) for line in text.splitlines()]
    return "\n".join(re.sub(r"^[\w.]+: ", "", line) for line in lines if " " in line.strip())


PLAIN = (
    *("function_app", "nva_agent/hopkeeper_agent", "lab", "simulator", "tests", "tools"),
    *("proving/bench", "proving/chaos", "proving/model", "proving/mutants", "proving/stories"),
)
"""Folders whose sentences are held to the words."""


def plain_files() -> list[Path]:
    """Every module of these folders, but this one, which has the words as examples."""
    files = [file for folder in PLAIN for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if file != Path(__file__)]


def test_docstrings_messages_and_comments_are_in_plain_words() -> None:
    texts = {str(file.relative_to(ROOT)): sentences(file.read_text()) for file in plain_files()}
    for name in texts:
        if name.startswith("proving/stories/"):  # somebody, no operator of ours, edits in the portal at 2 a.m.
            texts[name] = re.sub(r"\bsomebody\b", "a stranger", texts[name], flags=re.I)
    assert len(texts) > 500
    assert riddles(texts) == []


@pytest.mark.parametrize(
    "code",
    [
        '"""What nobody reads."""',
        'raise Bad(f"{name} told it to pause")',
        "x = 1  # as it was asked",
        '"""A.\n\nWhom it names."""',
    ],
)
def test_such_a_word_in_a_docstring_a_message_or_a_comment_is_named(code: str) -> None:
    assert len(riddles({"a.py": sentences(code)})) == 1


def test_a_word_that_makes_a_reader_guess_is_named() -> None:
    assert (
        len(riddles({"a.md": "who serves, whom the record does not know\n`nobody` is a name\nhealth of before"})) == 2
    )
