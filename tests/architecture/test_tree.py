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
IMPURE = {
    "asyncio",
    "time",
    "random",
    "logging",
    "os",
    "pathlib",
    "socket",
    "subprocess",
    "uuid",
    "secrets",
    "aiohttp",
    "azure",
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", DOMAIN, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_domain_has_no_io_clock_randomness_or_logging(path: Path) -> None:
    assert _imports(path) & IMPURE == set()
    assert not re.search(r"datetime\.(now|utcnow|today)\(", path.read_text())


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
