"""What keeps the tree as docs/architecture.md describes it, beside the import contracts of `make check`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.visitors import Class

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted((ROOT / "function_app").rglob("*.py"))
DOMAIN = sorted((ROOT / "function_app" / "domain").rglob("*.py"))
PURE = {
    "abc",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "ipaddress",
    "msgspec",
    "re",
    "typing",
    "yaml",
    "function_app.domain",
}
"""What the domain may import, by how the module's name begins. Of `datetime` it takes no time but what it is given."""
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__", "id"}
CLOCKS = {"now", "utcnow", "today"}


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules, without what is taken of them; a relative one begins with its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def _called(tree: ast.AST) -> Iterator[str]:
    """What is called: a name, or a dot and the attribute of anything."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(attr=name)):
                yield f".{name}"


def impurities(text: str) -> set[str]:
    """What a pure module would not import or call."""
    tree = ast.parse(text)
    imported = {name for name in _imported(tree) if not any(f"{name}.".startswith(f"{pure}.") for pure in PURE)}
    return imported | (set(_called(tree)) & (IMPURE_CALLS | {f".{clock}" for clock in CLOCKS}))


@pytest.mark.parametrize("path", DOMAIN, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_domain_has_no_io_clock_randomness_or_logging(path: Path) -> None:
    assert impurities(path.read_text()) == set()


@pytest.mark.parametrize(
    "impure",
    [
        "import urllib.request",
        "import http.client, threading",
        "import sqlite3",
        "from os import environ",
        "from collections.abc import Set\nimport time",
        "from ..service import look",
        "import function_app.settings",
        "from function_app import wiring",
        "X = open('/etc/hostname').read()",
        "print(1)",
        "from datetime import datetime as dt\nX = dt.now()",
        "import datetime\nX = datetime.date.today()",
        "X = __import__('time')",
    ],
)
def test_an_import_or_call_that_reaches_outside_is_found(impure: str) -> None:
    assert impurities(impure) != set()


def test_a_time_that_was_given_is_pure() -> None:
    assert impurities("from datetime import datetime\ndef age(look):\n    return look.now - look.at") == set()


def test_the_domain_s_modules_are_found_in_their_packages() -> None:
    assert len([path for path in DOMAIN if path.parent.name != "domain"]) > 30


def test_only_settings_reads_the_environment() -> None:
    readers = [p.name for p in PRODUCT if re.search(r"\benviron\b|getenv", p.read_text())]
    assert readers == ["settings.py"]


def test_only_wiring_names_adapters() -> None:
    outside = [p for p in PRODUCT if "adapters" not in p.parts]
    naming = [p.name for p in outside if "function_app.adapters" in p.read_text()]
    assert naming == ["wiring.py"]


def test_main_is_short_and_knows_only_triggers() -> None:
    main = (ROOT / "main.py").read_text()
    assert len(main.splitlines()) <= 30
    assert set(re.findall(r"function_app\.(\w+)", main)) == {"triggers"}


def test_the_readme_is_short_and_names_its_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 120
    assert "make demo" in readme
    assert "make test" in readme


def test_examples_and_docs_are_linked_from_the_readme() -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


# --- budgets ---------------------------------------------------------------------------------------------------------

COMPLEXITY_MAX = 12
COMPREHENSIONS_MAX = 1
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
READ = ("function_app", "nva_agent/hopkeeper_agent", "simulator", "tools", "lab", "proving", "tests")


def _complexity(path: Path) -> Iterator[tuple[str, int]]:
    """Every function's name and complexity, as radon counts it: branches, boolean operators, comprehensions."""
    for block in cc_visit(path.read_text()):
        for each in block.methods if isinstance(block, Class) else (block,):
            yield f"{path.relative_to(ROOT)}::{each.fullname}", each.complexity


def test_no_function_is_more_complex_than_a_reader_can_hold() -> None:
    files = [path for folder in READ for path in sorted((ROOT / folder).rglob("*.py"))]
    above = {name for path in files for name, found in _complexity(path) if found > COMPLEXITY_MAX}
    assert above == set(), f"above {COMPLEXITY_MAX}: simplify, by taking a case away where that is possible"


def _statements(node: ast.AST, function: str) -> Iterator[tuple[str, ast.stmt]]:
    """Every statement with the innermost function that holds it."""
    for child in ast.iter_child_nodes(node):
        name = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(child, ast.stmt):
            yield name, child
        yield from _statements(child, name)


def _comprehensions(node: ast.AST) -> int:
    """Those of a statement, without the statements inside it."""
    inside = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    return sum(isinstance(child, COMPREHENSION) + _comprehensions(child) for child in inside)


def test_a_statement_of_the_domain_holds_one_comprehension() -> None:
    statements = ((path, each) for path in DOMAIN for each in _statements(ast.parse(path.read_text()), ""))
    crowded = {
        f"{path.relative_to(ROOT)}::{function}"
        for path, (function, statement) in statements
        if _comprehensions(statement) > COMPREHENSIONS_MAX
    }
    assert crowded == set(), "give one of them a name"


def test_a_public_name_means_one_thing() -> None:
    """A document for programs (`reconcile/documents`) is named as what it shows: that is one thing."""
    for folder in ("function_app", "nva_agent/hopkeeper_agent"):
        where: dict[str, set[str]] = {}
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name != "documents":
                for name in _public_types(path):
                    where.setdefault(name, set()).add(str(path.relative_to(ROOT)))
        assert {name: sorted(paths) for name, paths in where.items() if len(paths) > 1} == {}


def _public_types(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        name = node.name if isinstance(node, ast.ClassDef | ast.TypeAlias) else None
        text = name.id if isinstance(name, ast.Name) else name
        if text and not text.startswith("_"):
            yield text
