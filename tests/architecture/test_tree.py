"""What keeps the tree as docs/architecture.md describes it, beside the import contracts of `make check`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.visitors import Class, Function

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted((ROOT / "function_app").rglob("*.py"))
DOMAIN = sorted((ROOT / "function_app" / "domain").rglob("*.py"))
PURE = {
    "abc",
    "collections",
    "dataclasses",
    "datetime",
    "difflib",
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


def test_a_time_is_spelled_in_one_place() -> None:
    spelling = [str(p.relative_to(ROOT)) for p in PRODUCT if re.search(r"%H:?%M", p.read_text())]
    assert spelling == ["function_app/domain/base/moments.py", "function_app/reconcile/store/keys.py"]


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
LINES_MAX = 50
PARAMETERS_MAX = 5
COMPREHENSIONS_MAX = 1
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
READ = ("function_app", "nva_agent/hopkeeper_agent", "simulator", "tools", "lab", "proving", "tests")


def _complexity(text: str) -> Iterator[tuple[str, int]]:
    """Every function's name and complexity, as radon counts it: branches, boolean operators, comprehensions."""
    left: list[Function | Class] = list(cc_visit(text))
    while left:
        block = left.pop()
        if isinstance(block, Class):
            left += [*block.methods, *block.inner_classes]
        else:
            left += block.closures
            yield block.fullname, block.complexity


def test_no_function_is_more_complex_than_a_reader_can_hold() -> None:
    files = [path for folder in READ for path in sorted((ROOT / folder).rglob("*.py"))]
    found = ((path, each) for path in files for each in _complexity(path.read_text()))
    above = {f"{path.relative_to(ROOT)}::{name}" for path, (name, much) in found if much > COMPLEXITY_MAX}
    assert above == set(), f"above {COMPLEXITY_MAX}: simplify, by taking a case away where that is possible"


@pytest.mark.parametrize(
    "around", ["def outer(x):", "class Outer:", "class Outer:\n  class Inner:", "async def outer(x):"]
)
def test_the_complexity_of_a_function_within_another_or_of_a_class_is_seen(around: str) -> None:
    indent = " " * 2 * (around.count(":"))
    branches = f"\n{indent}  ".join(f"if x == {number}: return {number}" for number in range(COMPLEXITY_MAX))
    found = dict(_complexity(f"{around}\n{indent}def inner(x):\n{indent}  {branches}\n"))
    assert max(found.values()) == COMPLEXITY_MAX + 1


def _crowded(text: str) -> Iterator[str]:
    """Functions of too many lines or parameters. The parameters of a command are the options of its command line."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = node.args
        named = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        count = len([name for name in named if name not in ("self", "cls")]) + (given.vararg is not None)
        is_command = any(".command(" in ast.unparse(decorator) for decorator in node.decorator_list)
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > LINES_MAX or (count > PARAMETERS_MAX and not is_command):
            yield f"{node.name}: {lines} lines, {count} parameters"


def test_no_function_is_longer_than_a_screen_or_takes_more_than_five_parameters() -> None:
    """But tests, whose parameters are fixtures."""
    files = [path for folder in READ[:-1] for path in sorted((ROOT / folder).rglob("*.py"))]
    crowded = {f"{path.relative_to(ROOT)}::{found}" for path in files for found in _crowded(path.read_text())}
    assert crowded == set(), "take a part out that has a name, or make one thing of parameters that go together"


def test_what_is_crowded_is_found_wherever_it_stands() -> None:
    assert list(_crowded("class A:\n  def f(self, a, b, *, c, d, e, f): ...")) == ["f: 1 lines, 6 parameters"]
    assert list(_crowded("def f():\n  async def g():\n" + "    x\n" * LINES_MAX)) != []
    assert list(_crowded("@main.command(help='x')\ndef f(a, b, c, d, e, f): ...")) == []


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
