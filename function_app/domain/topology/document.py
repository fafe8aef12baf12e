"""Decodes the operator's YAML into a `Topology`, strictly: unknown and duplicate keys, aliases and tags are errors.

Pure: text in, `Topology` out. PyYAML reads the text, msgspec the shapes; what neither can say stands in `laws`.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import yaml
from yaml.composer import Composer

from function_app.domain.base.addresses import dotted_decimal, with_or_without_length
from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.topology.laws import Place, broken_laws, broken_recent_laws
from function_app.domain.topology.model import Topology
from function_app.domain.topology.shapes import PathStep, convert, steps_of

SIZE_MAX = 256 * 1024
"""Characters; a document beyond it is refused before it is parsed."""


def decode(text: str, place: Place) -> Topology:
    """The topology that `text` describes.

    Raises BadInput naming path, line and rule of everything that is wrong: with its shape, or else by a law.
    """
    plain = _read(text)
    try:
        return from_plain(plain, place)
    except BadInput as error:
        raise BadInput(_with_lines(error.problems, text)) from error


def _with_lines(problems: tuple[Problem, ...], text: str) -> tuple[Problem, ...]:
    """In the order of the document; what is missing is in the line of what should hold it."""
    root = yaml.compose(text, Loader=_StrictLoader)
    found = [replace(problem, line=_line(root, steps_of(problem.path))) for problem in problems]
    return tuple(sorted(found, key=lambda problem: problem.line or 0))


def _line(node: yaml.Node | None, steps: list[PathStep]) -> int | None:
    line = None
    while node is not None:
        line = node.start_mark.line + 1 if line is None else line
        step, *steps = steps or [""]
        key, node = _inside(node, step)
        line = key.start_mark.line + 1 if key is not None else line
    return line


def _inside(node: yaml.Node, step: PathStep) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Where that begins, and what it is; None where there is no such thing."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((key, value) for key, value in pairs if key.value == step), (None, None))


def decode_stored(text: str, place: Place) -> tuple[Topology, tuple[Problem, ...]]:
    """The same, with the recent laws that it breaks beside it (`laws.RECENT`; that a prefix has a length is one): whether it
    may be used all the same is the caller's to know. Raises BadInput for any other broken law."""
    plain = _read(text)
    topology, lengths = _with_or_without_lengths(plain)
    recent, broken = broken_recent_laws(topology, place), broken_laws(topology, place)
    if set(broken) > set(recent):
        raise BadInput(broken)
    return topology, (*lengths, *recent)


def _with_or_without_lengths(plain: object) -> tuple[Topology, tuple[Problem, ...]]:
    """The topology, with the first prefix that has no length. Raises BadInput for any other shape."""
    try:
        return _shaped(plain), ()
    except BadInput as error:
        return _shaped(plain, with_or_without_length), error.problems


def from_plain(document: object, place: Place) -> Topology:
    """The topology that a document describes once it is read: mappings, lists, text, numbers. Raises BadInput."""
    topology = _shaped(document)
    problems = broken_laws(topology, place)
    if problems:
        raise BadInput(problems)
    return topology


def _shaped(document: object, read: Callable[[type, object], Any] = dotted_decimal) -> Topology:
    topology, problems = convert(_spelt_out(document), Topology, read)
    if topology is None:
        raise BadInput(problems)
    return topology


def _spelt_out(document: object) -> object:
    """The same with every entry of a speaker's `announces` as a mapping: a prefix alone is short for one."""
    if not isinstance(document, dict) or not isinstance(document.get("speakers"), list):
        return document
    return {**document, "speakers": [_with_mappings(speaker) for speaker in document["speakers"]]}


def _with_mappings(speaker: object) -> object:
    if not isinstance(speaker, dict) or not isinstance(speaker.get("announces"), list):
        return speaker
    return {
        **speaker,
        "announces": [each if isinstance(each, dict) else {"prefix": each} for each in speaker["announces"]],
    }


def _read(text: str) -> object:
    """The YAML's plain data. Raises BadInput."""
    if len(text) > SIZE_MAX:
        raise BadInput.of("$", f"the document has {len(text)} characters, at most {SIZE_MAX} are read")
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "$"
        raise BadInput.of(where, error.problem or "not YAML") from error
    except RecursionError as error:
        raise BadInput.of("$", "not YAML that anybody wrote: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput.of("$", f"not YAML: {error}") from error


class _StrictLoader(Composer, yaml.CSafeLoader):
    """YAML without its surprises: no aliases, no duplicate keys, no tags, no NaN, no dates, and no half of a surrogate pair.

    libyaml scans, in a quarter of the time; PyYAML's own composer is where surprises are refused.
    """

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", event.start_mark)
        if event.tag is not None:
            raise yaml.composer.ComposerError(None, None, f"tags are not allowed ({event.tag})", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


# Only these plain scalars are resolved; dates, sexagesimals, "yes"/"no" and floats such as .nan stay text.
_StrictLoader.yaml_implicit_resolvers = {}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^(?:0|[1-9][0-9]*)$"), list("0123456789"))
