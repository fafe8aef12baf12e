"""Every name in the Bicep is declared, and every declared one is used: what a compiler would say first."""

from collections.abc import Iterator, Mapping

import pytest
from tree_sitter import Node

from tests.infra.bicep_text import Source, files, parsed, planted, text

# "Bicep functions": those in use, and the namespaces that are read like values.
FUNCTIONS = {
    "base64", "concat", "empty", "environment", "filter", "guid", "items", "join", "last", "length", "listKeys",
    "loadFileAsBase64", "loadTextContent", "map", "range", "readEnvironmentVariable", "reduce", "replace",
    "resourceGroup", "resourceId", "split", "subscription", "subscriptionResourceId", "take", "tenant", "toLower",
    "union", "uniqueString",
}  # fmt: skip
DECLARATIONS = {
    "parameter_declaration",
    "variable_declaration",
    "resource_declaration",
    "module_declaration",
    "output_declaration",
}
NOT_VALUES = {"type", "primitive_type", "decorators", "comment", "using_statement"}


def problems(texts: Mapping[str, str]) -> list[str]:
    found = []
    for name, source in parsed(texts).items():
        declared, used = _declared(source), set(_used(source.root))
        outputs = {each.name for each in source.outputs()}
        found += [f"{name}: {each} is not declared" for each in sorted(used - declared - FUNCTIONS)]
        if name.endswith(".bicep"):
            found += [f"{name}: {each} is not used" for each in sorted(_needs_a_user(source) - used - outputs)]
    return found


def _declared(source: Source) -> set[str]:
    top = {text(node.named_children[0]) for node in source.root.named_children if node.type in DECLARATIONS}
    return top | set(_bound(source.root))


def _needs_a_user(source: Source) -> set[str]:
    kinds = {"parameter_declaration", "variable_declaration"}
    return {text(node.named_children[0]) for node in source.root.named_children if node.type in kinds}


def _bound(node: Node) -> Iterator[str]:
    """What loops and lambdas name: taken as known in the whole file."""
    if node.type in ("loop_variable", "loop_enumerator"):
        yield text(node)
    if node.type == "for_statement" and (one := node.child_by_field_name("initializer")) is not None:
        yield text(one)
    if node.type == "lambda_expression":
        yield from (name.strip() for name in text(node.named_children[0]).strip("()").split(","))
    for child in node.named_children:
        yield from _bound(child)


def _used(node: Node) -> Iterator[str]:
    children = node.named_children
    if node.type in NOT_VALUES:
        return
    if node.type == "identifier":
        yield text(node)
    if node.type in DECLARATIONS or (node.type == "object_property" and children[0].type == "identifier"):
        children = children[1:]
    for child in children:
        yield from _used(child)


def test_every_name_is_declared_and_used() -> None:
    assert problems(files()) == []
    assert problems(files("*.bicepparam")) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "named"),
    [
        ("main.bicep", "onePool),", "onePool, many),", "many is not declared"),
        ("main.bicep", "identity.outputs.clientId", "identities.outputs.clientId", "identities is not declared"),
        ("modules/alerts.bicep", "windowSize: fiveMinutes", "windowSize: tenMinutes", "tenMinutes is not declared"),
        ("modules/storage.bicep", "publicAccess: 'None'", "publicAccess: none", "none is not declared"),
        ("modules/storage.bicep", "isPrivate ?", "true ?", "isPrivate is not used"),
        ("modules/roles.bicep", "guid(", "guide(", "guide is not declared"),
    ],
)  # fmt: skip
def test_a_name_that_nobody_declares_or_uses_is_named(name: str, old: str, new: str, named: str) -> None:
    assert any(problem.endswith(named) for problem in problems(planted(name, old, new)))
