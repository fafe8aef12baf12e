"""No error of ours disappears: who catches one raises, logs, or gives back a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from function_app.domain.base import errors

TREE = Path(__file__).resolve().parents[2]
PRODUCT = (TREE / "function_app", TREE / "nva_agent" / "hopkeeper_agent")
BROAD = {"Exception", "BaseException"}
LOST = {"Superseded"}
"""Losing a compare-and-swap is an outcome like another: whoever reads again finds what the winner wrote."""
LOGS = {"debug", "info", "warning", "error", "exception", "critical"}

EXPECTED = {
    "function_app/wiring.py": "whether the settings can be read is the question",
    "nva_agent/hopkeeper_agent/agent.py": "the speaker keeps what it should announce, tries again, and its checks report it",
    "nva_agent/hopkeeper_agent/duties.py": "likewise",
    "nva_agent/hopkeeper_agent/speakers/exabgp.py": "its loops try again and count what is missed",
    "nva_agent/hopkeeper_agent/state.py": "the value that it returns says corrupt, which is logged when the agent starts",
}
"""Files that may catch an error of ours in silence, and why."""


def own_errors() -> set[str]:
    """The names of every error that the product defines."""
    names = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    trees = (ast.parse(file.read_text()) for file in _files())
    classes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return names | {each.name for each in classes if any(map(_is_error, each.bases))}


def _is_error(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and (base.id.endswith("Error") or base.id == "Exception")


def swallowed(source: str, ours: set[str]) -> Iterator[tuple[int, str]]:
    """Line and function of every `except` or `suppress` of our errors that neither raises, logs nor gives a reason."""
    for function, node in _with_function(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & ours - LOST and not _is_told(node):
            yield node.lineno, function
        if (
            isinstance(node, ast.Call)
            and _called(node) == "suppress"
            and any(_names(each) & ours - LOST for each in node.args)
        ):
            yield node.lineno, function


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


def _is_told(handler: ast.ExceptHandler) -> bool:
    """It raises, logs, or uses the error that it caught, or gives back a text that says why."""
    return any(_tells(node, handler.name) for statement in handler.body for node in ast.walk(statement))


def _tells(node: ast.AST, caught: str | None) -> bool:
    match node:
        case ast.Raise():
            return True
        case ast.Call():
            return _called(node) in LOGS
        case ast.Name(id=name):
            return name == caught
        case ast.Return() | ast.Yield():
            return any(map(_is_text, ast.walk(node)))
    return False


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def test_no_error_of_ours_is_caught_without_a_log_line_a_reason_or_a_raise() -> None:
    ours = own_errors() | BROAD
    found = {str(file.relative_to(TREE)): list(swallowed(file.read_text(), ours)) for file in _files()}
    assert {file: lines for file, lines in found.items() if lines and file not in EXPECTED} == {}
    assert [file for file in EXPECTED if not found.get(file)] == []


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
    ],
)
def test_what_counts_as_silence(body: str, silent: bool) -> None:
    assert bool(list(swallowed(body, own_errors() | BROAD))) is silent
