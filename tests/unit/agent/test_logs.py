"""What the agent logs: one JSON object a line, with the priority that journalctl goes by, and always with its cause."""

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hopkeeper_agent.logs import JsonLines

SOURCES = sorted((Path(__file__).resolve().parents[3] / "nva_agent" / "hopkeeper_agent").rglob("*.py"))


def logged(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
                yield node


def has_cause(call: ast.Call) -> bool:
    extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    return isinstance(extra, ast.Dict) and any(isinstance(k, ast.Constant) and k.value == "why" for k in extra.keys)


def test_every_line_has_its_cause() -> None:
    calls = [(path.name, call) for path in SOURCES for call in logged(ast.parse(path.read_text()))]
    assert len(calls) > 15
    assert [f"{name}:{call.lineno}" for name, call in calls if not has_cause(call)] == []


def test_a_line_without_a_cause_would_be_found() -> None:
    (call,) = logged(ast.parse('log.info("x", extra={"reason": 1})'))
    assert not has_cause(call)


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_the_journal_reads_the_priority_before_a_line_and_a_terminal_does_not(level: int, priority: int) -> None:
    record = logging.makeLogRecord({"levelno": level, "levelname": logging.getLevelName(level), "msg": "m"})
    line = JsonLines(journal=True).format(record)
    assert line.startswith(f"<{priority}>{{")
    assert json.loads(line[3:]) == json.loads(JsonLines().format(record))
