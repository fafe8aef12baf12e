"""The mutants of one module's source, made by mutmut's operators.

| left out | why |
|---|---|
| texts for people: a literal with a blank, what is joined of such, the arguments in `settings.TEXTS` | wording is no rule |
| the upper and lower case of a string | the string that is changed at both ends says the same |
| a positional argument that is taken away | Python refuses the call |
| None in a table or as a default of a field | what reads it fails, whatever it is |
| `type X = ...`, and `frozen`, `kw_only`, `dict` of a class | the type checker holds these |
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.file_mutation import Mutation, create_mutations

PROPERTY = re.compile(r"^( +)@(property)$", re.MULTILINE)
HIDDEN = re.compile(r"^( +)# hidden: (property)$", re.MULTILINE)

EMPTY = m.SimpleString('""')
JOIN = m.Attribute(attr=m.Name("join"))
DECLARED = ("frozen", "kw_only", "dict")

type Texts = dict[str, tuple[int, ...]]
"""By the name of a function or class: which of its arguments are texts for people."""


type Key = tuple[str, str, str, int]
"""Function, what it was, what it becomes, and which of the places where it does."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed copy of a module. `function` is its qualified name, or "" for what the module or a class body says.

    `was` and `becomes` are the lines that differ, without their indentation: they name the mutant where lines move.
    `occurrence` counts the places of a function where the same change is made, from 1.
    """

    function: str
    was: str
    becomes: str
    source: str
    occurrence: int = 1

    @property
    def key(self) -> Key:
        return self.function, self.was, self.becomes, self.occurrence


def mutants_of(source: str, texts: Texts) -> tuple[Mutant, ...]:
    """Every mutant of a module's source text, in the order of the source, no two the same."""
    # mutmut leaves decorated functions out. A property is as good as a method, so it is shown as one.
    module, mutations, _, _ = create_mutations("", PROPERTY.sub(r"\1# hidden: \2", source))
    pieces = _Pieces(module)
    left_out = _left_out(module, texts)
    every = (*mutations, *_negated(module))
    found = (pieces.mutant(each) for each in every if not _is_left_out(each, left_out))
    return tuple(_numbered(each for each in found if each is not None and _says_something(each)))


def _numbered(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Each source once, and the occurrence of each change."""
    numbers: Counter[Key] = Counter()
    for mutant in {each.source: each for each in mutants}.values():
        numbers[mutant.key] += 1
        yield replace(mutant, occurrence=numbers[mutant.key])


def _negated(module: cst.Module) -> Iterator[Mutation]:
    """Conditions that are a mere name or call, which mutmut has no operator for: each is turned round."""
    for _, node in _named(module):
        test = node.test if isinstance(node, cst.If | cst.CompIf) else None
        if isinstance(test, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
            yield Mutation(test, cst.UnaryOperation(cst.Not(), test), None)


def _says_something(mutant: Mutant) -> bool:
    """Not None in a table or a default: that is seen by whoever reads it, and by the type checker."""
    return bool(mutant.function) or "None" not in mutant.becomes.replace(mutant.was, "") or "None" in mutant.was


class _Pieces:
    """A module as the texts of its statements, so that a change renders one of them again and not all."""

    def __init__(self, module: cst.Module) -> None:
        self._module = module
        self._texts = [module.code_for_node(statement) for statement in module.body]
        self._place: dict[int, tuple[int, str]] = {}
        for at, statement in enumerate(module.body):
            for name, node in _named(statement):
                self._place[id(node)] = (at, name)

    def mutant(self, mutation: Mutation) -> Mutant | None:
        at, name = self._place[id(mutation.original_node)]
        changed = self._module.body[at].deep_replace(mutation.original_node, mutation.mutated_node)
        text = self._module.code_for_node(changed)
        was, becomes = _difference(self._texts[at], text)
        before, after = "".join(self._texts[:at]), "".join(self._texts[at + 1 :])
        header = "".join(self._module.code_for_node(line) for line in self._module.header)
        source = HIDDEN.sub(r"\1@\2", header + before + text + after)
        return Mutant(name, was, becomes, source) if was != becomes else None


def _named(node: cst.CSTNode, name: str = "", inside: bool = False) -> Iterator[tuple[str, cst.CSTNode]]:
    """Every node below, with the qualified name of the outermost function that holds it, or ""."""
    if isinstance(node, cst.FunctionDef | cst.ClassDef) and not inside:
        name = f"{name}.{node.name.value}".removeprefix(".")
        inside = isinstance(node, cst.FunctionDef)
    yield (name if inside else ""), node
    for child in node.children:
        yield from _named(child, name, inside)


def _difference(old: str, new: str) -> tuple[str, str]:
    was, becomes = old.splitlines(), new.splitlines()
    changes = [c for c in SequenceMatcher(None, was, becomes, autojunk=False).get_opcodes() if c[0] != "equal"]
    taken = [line.strip() for _, start, end, _, _ in changes for line in was[start:end]]
    put = [line.strip() for _, _, _, start, end in changes for line in becomes[start:end]]
    return "\n".join(taken), "\n".join(put)


def _left_out(module: cst.Module, texts: Texts) -> frozenset[int]:
    """The nodes that are, or belong to, a text for people or a declaration of types."""
    return frozenset(
        below for _, node in _named(module) for left in _left_out_of(node, texts) for below in _below(left)
    )


def _left_out_of(node: cst.CSTNode, texts: Texts) -> list[cst.CSTNode]:
    if _is_prose(node):
        return [node]
    match node:
        case cst.TypeAlias():
            return [node]
        case cst.ClassDef(keywords=declared):
            return [arg for arg in declared if arg.keyword and arg.keyword.value in DECLARED]
        case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)), args=args):
            return [arg.value for i, arg in enumerate(args) if i in texts.get(name, ())]
    return []


def _below(node: cst.CSTNode) -> set[int]:
    return {id(below) for _, below in _named(node)}


def _is_prose(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.SimpleString):
        return " " in node.value
    if isinstance(node, cst.FormattedString):
        return any(isinstance(p, cst.FormattedStringText) and " " in p.value for p in node.parts)
    if isinstance(node, cst.IfExp):
        return all(_is_prose(arm) or m.matches(arm, EMPTY) for arm in (node.body, node.orelse))
    if isinstance(node, cst.Call) and m.matches(node.func, JOIN):
        return _is_prose(cst.ensure_type(node.func, cst.Attribute).value)
    return isinstance(node, cst.ConcatenatedString)


def _is_left_out(mutation: Mutation, texts: frozenset[int]) -> bool:
    old, new = mutation.original_node, mutation.mutated_node
    if id(old) in texts:
        return True
    match old, new:
        case cst.SimpleString(), cst.SimpleString():
            return "XX" not in new.value
        case cst.Call(), cst.Call():
            kept = {id(arg.value) for arg in new.args}
            gone = [arg for arg in old.args if id(arg.value) not in kept]
            shorter = len(new.args) < len(old.args)
            return any(id(a.value) in texts or (shorter and a.keyword is None and not a.star) for a in gone)
        case ((cst.Assign() | cst.AnnAssign()), _) if old.value is not None:
            return id(old.value) in texts
    return False
