"""No error of ours disappears: who catches one raises, logs, or gives back a reason."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from function_app.domain.base import errors

TREE = Path(__file__).resolve().parents[2]
PRODUCT = (TREE / "function_app", TREE / "nva_agent" / "hopkeeper_agent")
BROAD = {"Exception", "BaseException"}
LOST = {"Superseded"}
"""Losing a compare-and-swap is an outcome like another: whoever reads again finds what the winner wrote."""
LOGS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGER = "log"
"""What every module names its logger."""

EXPECTED = {
    "function_app/adapters/agents/messages.py::_warranted": "such a token proves no epoch; one that is only claimed is an alarm",
    "function_app/cli/changing.py::_in_force": "that there is none is the answer",
    "function_app/reconcile/store/topologies.py::text_or_none": "that there is none is the answer",
    "function_app/wiring.py::is_configured": "whether the settings can be read is the question",
    "nva_agent/hopkeeper_agent/duties.py::announce": "the speaker tries again, and its checks report it",
    "nva_agent/hopkeeper_agent/duties.py::announce_outward": "likewise",
    "nva_agent/hopkeeper_agent/speakers/exabgp.py::_keep_announced": "it tries again and counts what is missed",
    "nva_agent/hopkeeper_agent/speakers/exabgp.py::_keep_alive": "likewise",
    "nva_agent/hopkeeper_agent/state.py::load": "the value that it returns says corrupt, which is logged when the agent starts",
}
"""Functions that may catch an error of ours in silence, once, and why."""


@cache
def own_errors() -> set[str]:
    """The names of every error that the product defines, and of every tuple of such."""
    trees = [ast.parse(file.read_text()) for file in _files()]
    names = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    found = names | {name for tree in trees for name in _errors_of(tree)}
    while more := {name for tree in trees for name in _made_of(tree, found)} - found:
        found |= more
    return found


def _errors_of(tree: ast.AST) -> Iterator[str]:
    """Classes whose base is an error of Python's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {name for base in node.bases for name in _names(base)}
            if any(name.endswith("Error") or name in BROAD for name in bases):
                yield node.name


def _made_of(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Classes whose base is one of these errors, and names for several of them or for one of them under another."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, bases=bases) if any(_names(base) & known for base in bases):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() | ast.Name() | ast.BinOp() as value) if (
                _names(value) & known
            ):
                yield name
            case ast.alias(name=name, asname=str(other)) if name in known:
                yield other


def swallowed(source: str, ours: set[str]) -> Iterator[str]:
    """The function of every `except` or `suppress` of our errors that neither raises, logs nor gives a reason."""
    tree = ast.parse(source)
    ours = (ours | set(_made_of(tree, ours))) - LOST
    suppress = {"suppress", *(a.asname for a in ast.walk(tree) if isinstance(a, ast.alias) and a.name == "suppress")}
    for function, node in _with_function(tree):
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & ours and not _is_reported(node):
            yield function
        if isinstance(node, ast.Call) and _called(node) in suppress and any(_names(each) & ours for each in node.args):
            yield function


def _files() -> list[Path]:
    return [file for folder in PRODUCT for file in sorted(folder.rglob("*.py"))]


def _with_function(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield inner, node
        yield from _with_function(node, inner)


def _names(node: ast.AST | None) -> set[str]:
    if node is None:
        return set(BROAD)
    each = (part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute))
    return {part.id if isinstance(part, ast.Name) else part.attr for part in each}


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_reported(handler: ast.ExceptHandler) -> bool:
    """It raises, logs, or uses the error that it caught, or gives back a text that says why."""
    return any(_reports(node, handler.name) for statement in handler.body for node in ast.walk(statement))


def _reports(node: ast.AST, caught: str | None) -> bool:
    match node:
        case ast.Raise():
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=level)) if name == LOGGER and level in LOGS:
            return True
        case ast.Name(id=name, ctx=ast.Load()):
            return name == caught
        case ast.Return() | ast.Yield():
            return any(map(_is_text, ast.walk(node)))
    return False


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def test_no_error_of_ours_is_caught_without_a_log_line_a_reason_or_a_raise() -> None:
    ours = own_errors() | BROAD
    found = [f"{file.relative_to(TREE)}::{name}" for file in _files() for name in swallowed(file.read_text(), ours)]
    assert sorted(found) == sorted(EXPECTED)


@pytest.mark.parametrize(
    ("body", "silent"),
    [
        ("try: f()\nexcept BadInput: pass", True),
        ("try: f()\nexcept (OSError, errors.BadInput): return_ = None", True),
        ("try: f()\nexcept: pass", True),
        ("with suppress(BadInput): f()", True),
        ("try: f()\nexcept BadInput: raise Terminal", False),
        ("try: f()\nexcept BadInput as e: log.warning('lost')", False),
        ("try: f()\nexcept BadInput as e: why = str(e)", False),
        ("try: f()\nexcept Superseded: pass", False),
        ("try: f()\nexcept OSError: pass", False),
        ("try: f()\nexcept Overran: pass", True),
        ("class Lost(errors.Unavailable): ...\ntry: f()\nexcept Lost: pass", True),
        ("BOTH = OSError, BadInput\ntry: f()\nexcept BOTH: pass", True),
        ("BOTH = (OSError, BadInput)\ntry: f()\nexcept (KeyError, *BOTH): pass", True),
        ("from errors import BadInput as Bad\ntry: f()\nexcept Bad: pass", True),
        ("BOTH = (OSError, KeyError)\ntry: f()\nexcept BOTH: pass", False),
        ("from contextlib import suppress as quiet\nwith quiet(BadInput): f()", True),
        ("with contextlib.suppress(*(BadInput, OSError)): f()", True),
        ("try: f()\nexcept BadInput: x.info()", True),
        ("try: f()\nexcept BadInput: warning('lost')", True),
        ("try: f()\nexcept BadInput as e: del e", True),
        ("try: f()\nexcept BadInput: return_ = False", True),
    ],
)
def test_what_counts_as_silence(body: str, silent: bool) -> None:
    assert bool(list(swallowed(body, own_errors() | BROAD))) is silent
