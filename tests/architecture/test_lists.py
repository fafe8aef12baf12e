"""The lists that documents repeat from the code are the code's: commands, verbs, guards, packages, decisions."""

import re
from pathlib import Path

import click
import pytest

from function_app.cli import main as hopkeeper
from function_app.domain.base.refusal import guard_name
from function_app.domain.networks import guards as of_networks
from function_app.domain.peerings import guards as of_peerings
from function_app.domain.service import guards as of_services
from function_app.domain.service.orders import VERBS

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
GUARDS = {"a service": of_services.GUARDS, "a peering": of_peerings.GUARDS, "a network's flags": of_networks.GUARDS}
TREE = ("domain", "reconcile", "adapters")


def house() -> str:
    return ARCHITECTURE.partition("\n## The house\n")[2].partition("\n## ")[0]


def rows(page: str, heading: str, level: int = 2) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = page.partition(f"\n{'#' * level} {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", re.split(r"\n##+ ", text)[0], re.MULTILINE)
    lines = table[0].splitlines()[2:] if table else []
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_readme_lists_every_command() -> None:
    assert isinstance(hopkeeper, click.Group)
    block = (ROOT / "README.md").read_text().partition("\n## By hand\n\n```\n")[2].partition("```")[0]
    lines = re.findall(r"^hopkeeper ([a-z-]+(?: \| [a-z-]+)*)", block, re.MULTILINE)
    assert {verb for line in lines for verb in line.split(" | ")} == set(hopkeeper.commands)


def test_every_verb_is_a_command_and_has_its_row() -> None:
    assert isinstance(hopkeeper, click.Group)
    listed = [verb for row in rows(ARCHITECTURE, "Orders", 3) for verb in row[0].split(", ")]
    assert listed == list(VERBS)
    assert set(VERBS) <= set(hopkeeper.commands)


@pytest.mark.parametrize("kind", GUARDS)
def test_every_guard_has_its_row_in_the_order_in_which_guards_speak(kind: str) -> None:
    listed = [name for name, of, _ in rows(ARCHITECTURE, "Guards", 3) if of == kind]
    assert listed == [guard_name(guard) for guard in GUARDS[kind]]


def packages() -> dict[str, set[str]]:
    """Every package of the product's parts that holds modules, with these."""
    found = {
        page.parent: {module.stem for module in page.parent.glob("*.py")} - {"__init__"}
        for part in TREE
        for page in (ROOT / "function_app" / part).rglob("__init__.py")
    }
    return {str(folder.relative_to(ROOT / "function_app")): modules for folder, modules in found.items() if modules}


def package_rows() -> dict[str, str]:
    """By package, the last cell of its row: its modules."""
    found = re.findall(r"^\| `([\w/]+)` \|[^|]*\|(.*)\|$", house(), re.MULTILINE)
    return {package: cell for package, cell in found if package.startswith(TREE)}


def test_every_package_has_its_row() -> None:
    assert set(package_rows()) == set(packages())


def unlisted(there: dict[str, set[str]], listed: dict[str, str]) -> dict[str, list[str]]:
    """Modules that their package's row does not name; a row may say that there is one for each thing."""
    rows = {
        package: set(re.findall(r"`(\w+)`", cell)) for package, cell in listed.items() if "one for each" not in cell
    }
    missing = {package: sorted(there[package] - named) for package, named in rows.items()}
    return {package: modules for package, modules in missing.items() if modules}


def test_every_module_is_named_in_its_package_s_row() -> None:
    assert unlisted(packages(), package_rows()) == {}


def test_a_module_that_no_row_names_is_found() -> None:
    new = {package: {*modules, "fresh"} for package, modules in packages().items()}
    assert unlisted(new, package_rows())["reconcile"] == ["fresh"]


def test_every_module_that_a_package_s_row_names_is_there() -> None:
    found = package_rows()
    assert len(found) > 10
    missing = [
        f"{package}/{module}"
        for package, cell in found.items()
        for module in re.findall(r"`(\w+)`", cell)
        if not (ROOT / "function_app" / package / f"{module}.py").exists()
    ]
    assert missing == []


def test_every_path_that_the_architecture_names_is_there() -> None:
    """Paths of the product's parts, and of tests: `domain/service/decide.py`, `tests/unit/test_guards.py`."""
    named = re.findall(
        r"`((?:domain|reconcile|adapters|triggers|render|tests|proving|function_app|nva_agent)/[\w./*-]+)`",
        ARCHITECTURE,
    )
    missing = [
        name for name in named if not any(any(base.glob(name.rstrip("/"))) for base in (ROOT, ROOT / "function_app"))
    ]
    assert len(named) > 40
    assert missing == []
