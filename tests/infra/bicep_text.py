"""Bicep read as text: a syntax tree, and from it the resources, modules, parameters and outputs of a file.

Not a compiler: expressions are not evaluated. Where a value is not written out (a variable, a function's result), its
path is known and what is below it is not.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra" / "bicep"

# What Bicep itself adds to a resource's body.
OF_THE_LANGUAGE = frozenset({"parent", "scope", "dependsOn"})


@dataclass(frozen=True, slots=True)
class Resource:
    """`paths` are those of its body, in order: `properties.allOf[].name`."""

    symbol: str
    type: str
    existing: bool
    body: Node

    @property
    def nodes(self) -> tuple[tuple[str, Node], ...]:
        return tuple(leaves(self.body))

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.nodes)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The text of every value by its path, without quotes."""
        found: dict[str, tuple[str, ...]] = {}
        for path, node in leaves(self.body):
            found[path] = (*found.get(path, ()), text(node).strip("'"))
        return found


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter, output, variable or module: its name, its type or path, and what its value is."""

    name: str
    kind: str
    decorators: tuple[str, ...]
    node: Node


class Source:
    """One file of Bicep. Raises SyntaxError, naming the first place that does not parse."""

    def __init__(self, content: str, name: str = "main.bicep") -> None:
        if name.endswith(".bicepparam"):  # the grammar does not know its assignments; they read like variables
            content = re.sub(r"(?m)^param ", "var ", content)
        self._tree = _parser().parse(content.encode())
        self.root = self._tree.root_node
        if (wrong := next(_errors(self.root), None)) is not None:
            raise SyntaxError(f"{name}:{wrong.start_point[0] + 1}: {text(wrong)[:60]!r} does not parse")

    def resources(self) -> Iterator[Resource]:
        for node in self._all("resource_declaration"):
            symbol, type_ = node.named_children[:2]
            existing = any(text(child) == "existing" for child in node.children)
            yield Resource(text(symbol), text(type_).strip("'"), existing, _body(node))

    def parameters(self) -> Iterator[Declared]:
        return self._declared("parameter_declaration")

    def outputs(self) -> Iterator[Declared]:
        return self._declared("output_declaration")

    def variables(self) -> dict[str, Node]:
        return {text(node.named_children[0]): node.named_children[-1] for node in self._all("variable_declaration")}

    def modules(self) -> Iterator[Resource]:
        """As resources: `type` is the path of the module's file."""
        for node in self._all("module_declaration"):
            symbol, path = node.named_children[:2]
            yield Resource(text(symbol), text(path).strip("'"), False, _body(node))

    def _declared(self, kind: str) -> Iterator[Declared]:
        decorators: tuple[str, ...] = ()
        for node in self.root.named_children:
            if node.type == "decorators":
                decorators = tuple(text(child).lstrip("@").split("(")[0] for child in node.named_children)
                continue
            if node.type == kind:
                name, type_ = node.named_children[:2]
                yield Declared(text(name), text(type_), decorators, node)
            if node.type != "comment":
                decorators = ()

    def _all(self, kind: str) -> Iterator[Node]:
        return (node for node in self.root.named_children if node.type == kind)


def files(pattern: str = "*.bicep") -> dict[str, str]:
    """The text of the project's Bicep files by their path below infra/bicep."""
    return {str(path.relative_to(INFRA)): path.read_text() for path in sorted(INFRA.rglob(pattern))}


def parsed(texts: Mapping[str, str]) -> dict[str, Source]:
    """Raises SyntaxError for the first that does not parse."""
    return {name: _source(content, name) for name, content in texts.items()}


def planted(name: str, old: str, new: str, pattern: str = "*.bicep") -> dict[str, str]:
    """The project's files with a fault put into one of them. Raises LookupError where there is nothing to replace."""
    texts = files(pattern)
    if old not in texts[name]:
        raise LookupError(f"{name} holds no {old!r} to spoil")
    return texts | {name: texts[name].replace(old, new, 1)}


def text(node: Node) -> str:
    return (node.text or b"").decode()


def strings(node: Node) -> Iterator[str]:
    """Every string literal below a node."""
    if node.type == "string":
        yield text(node).strip("'")
        return
    for child in node.named_children:
        yield from strings(child)


def leaves(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Every path below a value, with its value: objects, arrays, loops, and both sides of a choice."""
    match node.type:
        case "object":
            for entry in node.named_children:
                if entry.type == "object_property":
                    key, value = entry.named_children[0], entry.named_children[-1]
                    name = (
                        "*"
                        if any(child.type == "interpolation" for child in key.named_children)
                        else text(key).strip("'")
                    )
                    path = f"{prefix}.{name}" if prefix else name
                    yield path, value
                    yield from leaves(value, path)
        case "array":
            for element in node.named_children:
                yield from leaves(element, f"{prefix}[]")
        case "for_statement":
            if (body := node.child_by_field_name("body")) is not None:
                yield from leaves(body, f"{prefix}[]")
        case "ternary_expression" | "parenthesized_expression" | "if_statement":
            for child in node.named_children:
                yield from leaves(child, prefix)
        case "call_expression" if text(node).startswith(("concat(", "union(")):
            for argument in node.named_children[-1].named_children:
                yield from leaves(argument, prefix)


def _body(node: Node) -> Node:
    """The object of a resource, behind its loop or condition."""
    found = node.named_children[-1]
    while found.type in ("for_statement", "if_statement"):
        found = found.child_by_field_name("body") or found.named_children[-1]
    return found


def _errors(node: Node) -> Iterator[Node]:
    if node.type == "ERROR" or node.is_missing:
        yield node
    elif node.has_error:
        for child in node.children:
            yield from _errors(child)


@cache  # a planted fault changes one file: the others are parsed once
def _source(content: str, name: str) -> Source:
    return Source(content, name)


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bicep.language()))
