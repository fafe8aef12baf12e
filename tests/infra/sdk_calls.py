"""Which operations of Azure's SDKs the adapters call, read from their text.

An operation is `group.method`: a group of the management client (`virtual_hubs.get`), or a data client's module and
method (`azure.monitor.query.aio.query_workspace`). Names are followed within a file only; a long-running call on
something unknown is reported as `?.begin_…`, so that nothing new goes unseen.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.infra.compiler import ROOT

MANAGEMENT_ONLY = re.compile(r"begin_|update_tags")  # prefixes of methods that no other object here has


def adapters() -> dict[str, str]:
    folder = ROOT / "function_app" / "adapters"
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.py"))}


def sdks(code: Mapping[str, str]) -> set[str]:
    """The modules of asynchronous clients that the code names."""
    return {name for content in code.values() for name in re.findall(r"""["'](azure(?:\.\w+)+\.aio)["']""", content)}


@cache
def groups() -> set[str]:
    """The management client's operation groups, from its text: importing it takes seconds."""
    spec = find_spec("azure.mgmt.network")
    if spec is None or spec.origin is None:
        raise LookupError("azure-mgmt-network is not installed")
    content = (Path(spec.origin).parent / "aio" / "_client.py").read_text()
    return set(re.findall(r"self\.(\w+) = \w+Operations\(", content))


def operations(code: Mapping[str, str]) -> set[str]:
    return {operation for content in code.values() for operation in _operations(content)}


@cache
def _operations(content: str) -> frozenset[str]:
    return frozenset(_File(ast.parse(content), groups()).operations())


class _File:
    def __init__(self, tree: ast.Module, known: set[str]) -> None:
        self._tree, self._known = tree, known
        self._constants: dict[str, str] = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }
        self._names: dict[str, str] = {}
        for _ in range(2):  # a name may come from a function that is written below it
            self._follow()

    def operations(self) -> Iterator[str]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Attribute) and (group := self._group(node.value)) in self._known:
                yield f"{group}.{node.attr}"  # called here, or handed to what calls it
                continue
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            group, method = self._group(node.func.value), node.func.attr
            if group is not None and group not in self._known:
                yield f"{group}.{method}"
            elif group is None and MANAGEMENT_ONLY.match(method):
                yield f"?.{method}"

    def _follow(self) -> None:
        for node in ast.walk(self._tree):
            match node:
                case ast.Assign(targets=[target], value=value) if (group := self._group(value)) is not None:
                    self._names[_last(target)] = group
                case ast.AsyncFunctionDef(name=name, body=body) | ast.FunctionDef(name=name, body=body):
                    for each in body:
                        returned = each.value if isinstance(each, ast.Return) else None
                        if returned is not None and (group := self._group(returned)) is not None:
                            self._names[name] = group

    def _group(self, node: ast.expr) -> str | None:
        """What an expression stands for, where that is a group or a data client."""
        match node:
            case ast.Await(value=value):
                return self._group(value)
            case ast.Call(func=ast.Attribute(attr="client"), args=[ast.Name(id=sdk), *_]):
                return self._constants.get(sdk)
            case ast.Call(func=ast.Name() | ast.Attribute() as function) if _last(function) in self._names:
                return self._names[_last(function)]
            case ast.Attribute(attr=attr) if attr in self._known:
                return attr
            case ast.Name() | ast.Attribute():
                return self._names.get(_last(node))
        return None


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
