"""Every fault in the shape of a document, in words: where, what stands there, what may, and what was probably meant.

msgspec stops at the first fault. What it names is noted, something right is put in its place, and the whole is read again, until
nothing is wrong. Pure.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec
from msgspec import inspect

from function_app.domain.base.errors import Problem

FAULTS_MOST = 100
_GONE = object()

type Hook = Callable[[type, object], Any]
type PathStep = str | int
"""A key of a mapping, or a place in a list."""

_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_UNITS = {"": "PT{}S", "sec": "PT{}S", "second": "PT{}S", "m": "PT{}M", "min": "PT{}M", "minute": "PT{}M"} | {
    "h": "PT{}H",
    "hour": "PT{}H",
    "d": "P{}D",
    "day": "P{}D",
}
"""How a duration is written, by its unit as people write it, without an s at its end."""


def convert[T](document: object, kind: type[T], read: Hook) -> tuple[T | None, tuple[Problem, ...]]:
    """The document as `kind`, or everything that is wrong with its shape: one of the two is empty."""
    problems: list[Problem] = []
    whole: inspect.Type | None = None
    while len(problems) < FAULTS_MOST:
        try:
            found = msgspec.convert(document, kind, dec_hook=read)
        except msgspec.ValidationError as error:
            whole = whole or inspect.type_info(kind)
            fault = _fault(str(error), document, whole)
            problem = Problem(path_of(fault.steps), fault.rule)
            if problem in problems or not fault.steps:
                return None, tuple(dict.fromkeys((*problems, problem)))
            problems.append(problem)
            right = _GONE if fault.is_unknown else _sample(list(_kinds(whole, fault.steps)))
            document = _mended(document, fault.steps, right)
        else:
            return (None if problems else found), tuple(problems)
    return None, tuple(problems)


def path_of(steps: list[PathStep]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def steps_of(path: str) -> list[PathStep]:
    """The steps of a path such as `$.speakers[0].asn`."""
    return [int(index) if index else key for key, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path)]


@dataclass(frozen=True, slots=True)
class _Fault:
    steps: list[PathStep]
    rule: str
    is_unknown: bool = False
    """Whether it is a key that must not be there."""


def _fault(error: str, document: object, whole: inspect.Type) -> _Fault:
    said, _, at = error.partition(" - at ")
    steps = steps_of(at.strip("`").rpartition("$")[2].partition("[...]")[0])
    kinds = list(_kinds(whole, steps))
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL):
        return _Fault([*steps, found[1]], _unknown(found[1], kinds), is_unknown=True)
    if found := re.fullmatch(r"Object missing required field `(.*)`", said):
        return _Fault([*steps, found[1]], "is missing")
    # Which key of a mapping it is about is not said.
    if "`key` in" in at or "[...]" in at:
        wanted = re.search(r"Expected `(\w+)", said)
        what = _WORDS.get(wanted[1], wanted[1]) if wanted else said
        return _Fault(
            steps, f"one of its {'keys' if '`key` in' in at else 'values'} is not {what}, or not as it must be"
        )
    return _Fault(steps, _rule(said, _value(document, steps), kinds))


def _unknown(key: str, kinds: list[inspect.Type]) -> str:
    known = [each.encode_name for kind in kinds if isinstance(kind, inspect.StructType) for each in kind.fields]
    return f"no such key{_meant(key, known)} (there are {', '.join(known)})"


def _rule(said: str, value: object, kinds: list[inspect.Type]) -> str:
    if choices := [str(choice) for kind in kinds for choice in _choices(kind)]:
        return f"{_shown(value)} is none of {', '.join(choices)}{_meant(str(value), choices)}"
    for pattern, in_words in _SAID.items():
        if found := re.search(pattern, said):
            return in_words(found, value, kinds)
    return said


def _wrong_type(found: re.Match[str], value: object, kinds: list[inspect.Type]) -> str:
    if found[1].startswith("duration"):
        return f"{_shown(value)} is no duration: {'write PT0S' if value == 0 else 'it has a unit: 2 s is PT2S'}"
    wanted = [_WORDS.get(each, each) for each in found[1].split(" | ") if each != "null"]
    keys = [each.encode_name for kind in kinds if isinstance(kind, inspect.StructType) for each in kind.fields]
    return f"{_shown(value)} is not {' or '.join(wanted)}{f' ({", ".join(keys)})' if keys else ''}"


def _length(found: re.Match[str], value: object, kinds: list[inspect.Type]) -> str:
    has = len(value) if isinstance(value, list | str | dict) else 0
    return f"needs {_LIMITS[found[1]]} {found[2]}, has {has}"


def _bound(found: re.Match[str], value: object, kinds: list[inspect.Type]) -> str:
    why = f": {described}" if (described := _described(kinds)) and found[1] == "<=" else ""
    return f"must be {_LIMITS[found[1]]} {found[2].removesuffix('.0')}, is {_shown(value)}{why}"


def _pattern(found: re.Match[str], value: object, kinds: list[inspect.Type]) -> str:
    """The model says beside each pattern what such a text is."""
    return f"{_shown(value)} is not {_described(kinds) or 'as it must be'}"


def _described(kinds: list[inspect.Type]) -> str | None:
    said = [kind.extra_json_schema or {} for kind in kinds if isinstance(kind, inspect.Metadata)]
    return next((str(each["description"]) for each in said if "description" in each), None)


def _duration(found: re.Match[str], value: object, kinds: list[inspect.Type]) -> str:
    given = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value).lower())
    form = _UNITS.get(given[2].rstrip("s")) if given else None
    instead = f"write {form.format(given[1])}" if given and form else "PT30S is half a minute, PT5M five, PT1H an hour"
    return f"{_shown(value)} is no duration: {instead}"


type InWords = Callable[[re.Match[str], object, list[inspect.Type]], str]
_LIMITS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_SAID: dict[str, InWords] = {
    r"ISO8601 duration": _duration,
    r"matching regex": _pattern,
    r"of length (>=|<=) (\d+)$": _length,
    r"^Expected `(?:int|float)` (>=|<=|>|<) (\S+)$": _bound,
    r"^Expected `([^`]+)`, got `\w+`$": _wrong_type,
}
"""What msgspec says, and what makes it plain."""


def _shown(value: object) -> str:
    """A value as a person finds it in the document; of a mapping or a list only that it is one."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool() | None:
            return {True: "true", False: "false", None: "nothing"}[value]
        case str():
            return repr(value)
    return str(value)


def _meant(given: str, known: list[str]) -> str:
    near = get_close_matches(given.lower(), known, n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ""


def _choices(kind: inspect.Type) -> Iterator[object]:
    match kind:
        case inspect.EnumType():
            yield from (member.value for member in kind.cls)
        case inspect.LiteralType():
            yield from kind.values


def _value(document: object, steps: list[PathStep]) -> object:
    for step in steps:
        document = document[step] if isinstance(document, dict | list) else None  # type: ignore[index]
    return document


# --- the types at a place ---------------------------------------------------------------------------------------------


def _kinds(whole: inspect.Type, steps: list[PathStep]) -> Iterator[inspect.Type]:
    """What may stand there: several where a union says so, and each with what is said of it."""
    at = list(_each(whole))
    for step in steps:
        at = [kind for each in at for below in _below(each, step) for kind in _each(below)]
    yield from at


def _each(kind: inspect.Type) -> Iterator[inspect.Type]:
    match kind:
        case inspect.UnionType():
            for each in kind.types:
                yield from _each(each)
        case inspect.Metadata():
            yield kind
            yield from _each(kind.type)
        case _:
            yield kind


def _below(kind: inspect.Type, step: PathStep) -> Iterator[inspect.Type]:
    match kind:
        case inspect.StructType():
            yield from (each.type for each in kind.fields if each.encode_name == step)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            yield kind.item_type
        case inspect.DictType():
            yield kind.value_type


# --- something right in its place -------------------------------------------------------------------------------------


def _mended(document: Any, steps: list[PathStep], value: object) -> Any:
    """The document with this value there; `_GONE` takes the key away."""
    if not steps:
        return value
    first, *rest = steps
    if isinstance(document, list):
        return [_mended(each, rest, value) if i == first else each for i, each in enumerate(document)]
    inner = _mended(document.get(first), rest, value)
    others = {key: each for key, each in document.items() if key != first}
    return others if inner is _GONE else {**others, first: inner}


def _sample(kinds: list[inspect.Type]) -> object:
    """Anything that has the shape, the simplest: it only stands in for what is wrong."""
    for kind in kinds:
        match kind:
            case inspect.NoneType():
                return None
            case inspect.Metadata() if "examples" in (kind.extra_json_schema or {}):
                return (kind.extra_json_schema or {})["examples"][0]
    return _simplest(next((kind for kind in kinds if not isinstance(kind, inspect.Metadata)), None))


def _simplest(kind: inspect.Type | None) -> object:
    match kind:
        case inspect.StructType():
            return {each.encode_name: _sample(list(_each(each.type))) for each in kind.fields if each.required}
        case inspect.VarTupleType():
            return [_sample(list(_each(kind.item_type)))] * (kind.min_length or 0)
        case inspect.IntType() | inspect.FloatType():
            return kind.ge or 1
        case inspect.CustomType():
            return _ADDRESSES[kind.cls]
        case inspect.EnumType() | inspect.LiteralType():
            return next(_choices(kind))
    return _PLAIN.get(type(kind), "")


_ADDRESSES = {IPv4Address: "192.0.2.1", IPv4Network: "192.0.2.0/24"}
_PLAIN: dict[type, object] = {inspect.DictType: {}, inspect.TimeDeltaType: "PT1S", inspect.BoolType: False}
