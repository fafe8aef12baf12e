"""Reads TOML tables into dataclasses: a field's type says what its key must be, its default what a missing key means.

Defaults thus stand once, in the dataclass. A key that no field names is an error, and every error says where, and what the
value must be. Written here rather than taken from cattrs: Debian 12's (22.2) gives no path of an error, and a newer one
would come with attrs and typing-extensions into the one runnable file, to replace some ninety lines.

Marks in a field's type (`Annotated`) say how it differs from its key:
  `Key("from")`      the key has another name than the field
  `Flat()`           the field's dataclass is read from the same table, not from a table of its own
  `Tagged(KINDS)`    as `Flat`, of the dataclass that the key `kind` names
  `Given()`          no key: whoever makes the object sets the field
A dataclass with a method `mistakes`, which yields (key, rule), has it called once all keys are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the path and the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be, in words, and how it is read: `read` raises ValueError, with more words if there are any."""

    words: str
    read: Callable[[Any], Any]


def satisfying(words: str, holds: Callable[[Any], bool], made: Callable[[Any], Any] = lambda value: value) -> Rule:
    """A value for which `holds` is true, taken over as `made` makes it."""

    def read(value: Any) -> Any:
        if not holds(value):
            raise ValueError
        return made(value)

    return Rule(words, read)


def whole(low: int, high: int) -> Rule:
    """A whole number within bounds."""
    return satisfying(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def seconds(low: float, high: float) -> Rule:
    """A number of seconds within bounds."""
    return satisfying(
        f"a number from {low} to {high}", lambda value: type(value) in (int, float) and low <= value <= high, float
    )


def choice(options: Mapping[str, Any]) -> Rule:
    """One of these texts, read as what it stands for."""
    return satisfying(
        _listed(options), lambda value: isinstance(value, str) and value in options, lambda value: options[value]
    )


def items(words: str, read: Callable[[str], Any], least: int = 1) -> Rule:
    """A list of `least` texts or more, each read by `read`, as a tuple."""

    def read_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) < least or not all(map(_is_text, value)):
            raise ValueError
        return tuple(map(read, value))

    return Rule(words, read_all)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _address(value: Any) -> IPv4Address:
    if not isinstance(value, str):
        raise ValueError
    return IPv4Address(value)


def _prefix(value: Any) -> IPv4Network:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError
    return IPv4Network(value)


def _is_absolute(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ("https", "http") and bool(urlsplit(value).hostname)


PORT_MAX = 65535

Text = Annotated[str, satisfying("a text", _is_text)]
Flag = Annotated[bool, satisfying("true or false", lambda value: isinstance(value, bool))]
Port = Annotated[int, whole(1, PORT_MAX)]
Address = Annotated[IPv4Address, Rule("a literal IPv4 address", _address)]
"""Never resolved from a name."""
AbsolutePath = Annotated[Path, satisfying("an absolute path", _is_absolute, Path)]
Url = Annotated[str, satisfying("an http or https address", _is_url)]
Texts = Annotated[tuple[str, ...], items("a list of texts with at least one", str)]
Prefix = Annotated[IPv4Network, Rule("an IPv4 prefix with its length", _prefix)]
Prefixes = Annotated[tuple[IPv4Network, ...], items("IPv4 prefixes", IPv4Network, least=0)]
Addresses = Annotated[tuple[IPv4Address, ...], items("a list of literal IPv4 addresses, at least one", IPv4Address)]


@dataclass(frozen=True, slots=True)
class Key:
    """See the module."""

    name: str


@dataclass(frozen=True, slots=True)
class Flat:
    """See the module."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """See the module."""

    kinds: Mapping[str, type]


@dataclass(frozen=True, slots=True)
class Given:
    """See the module."""


def decode(shape: type[T], table: Mapping[str, Any], path: str = "") -> T:  # noqa: UP047 - Python 3.11
    """Read a TOML table into a dataclass; `path` is where the table stands. Raises ConfigError."""
    left = dict(table)
    made = _fill(shape, left, path)
    for key in sorted(left):
        raise ConfigError(f"{at(path, key)}: unknown key")
    for key, rule in _mistakes(made):
        raise ConfigError(f"{at(path, key)}: {rule}")
    return made


def pick(kinds: Mapping[str, T], table: dict[str, Any], path: str) -> T:  # noqa: UP047 - Python 3.11
    """Take the key `kind` out of a table and return what it names. Raises ConfigError."""
    kind = table.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"{at(path, 'kind')}: must be {_listed(kinds)}")
    return kinds[kind]


def at(path: str, key: str) -> str:
    """The path of a key in the table at `path`."""
    return f"{path}.{key}" if path else key


def _listed(texts: Mapping[str, Any]) -> str:
    *others, last = texts
    return f"{', '.join(others)} or {last}" if others else last


def _mistakes(made: Any) -> Iterator[tuple[str, str]]:
    yield from made.mistakes() if hasattr(made, "mistakes") else ()


def _fill(shape: type[T], left: dict[str, Any], path: str) -> T:  # noqa: UP047 - Python 3.11
    hints = get_type_hints(shape, include_extras=True)
    values = {}
    for item in fields(shape):  # type: ignore[arg-type]
        kind = _Type.of(hints[item.name])
        if kind.mark(Given) is None:
            values[item.name] = _field(item, kind, left, path)
    return shape(**values)


@dataclass(frozen=True, slots=True)
class _Type:
    """A field's type without None and marks, and the marks."""

    bare: Any
    marks: tuple[Any, ...]

    @classmethod
    def of(cls, hint: Any) -> _Type:
        """Taken from an annotation."""
        marks: tuple[Any, ...] = ()
        while True:
            if get_origin(hint) is Annotated:
                hint, marks = hint.__origin__, marks + hint.__metadata__
            elif get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
                hint = next(option for option in get_args(hint) if option is not NoneType)
            else:
                return cls(hint, marks)

    def mark(self, kind: type[T]) -> T | None:
        """The mark of this kind, if there is one."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)


def _field(item: Field[Any], kind: _Type, left: dict[str, Any], path: str) -> Any:
    """The value of one field; its keys are taken out of `left`."""
    if tagged := kind.mark(Tagged):
        return _fill(pick(tagged.kinds, left, path), left, path)
    if kind.mark(Flat):
        return _fill(kind.bare, left, path)
    renamed = kind.mark(Key)
    key = renamed.name if renamed else item.name
    if key in left:
        return _value(kind, left.pop(key), at(path, key))
    if item.default is not MISSING:
        return item.default
    if (rule := kind.mark(Rule)) is None:
        # A missing table is an empty one: either all of its keys have defaults, or the error names the first that has none.
        return decode(kind.bare, {}, at(path, key))
    raise ConfigError(f"{at(path, key)}: missing, must be {rule.words}")


def _value(kind: _Type, value: Any, path: str) -> Any:
    if rule := kind.mark(Rule):
        try:
            return rule.read(value)
        except ValueError as error:
            raise ConfigError(": ".join(filter(None, (path, f"must be {rule.words}", str(error))))) from error
    if get_origin(kind.bare) is tuple:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ConfigError(f"{path}: not an array of tables")
        shape = get_args(kind.bare)[0]
        return tuple(decode(shape, table, f"{path}[{index}]") for index, table in enumerate(value))
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not a table")
    return decode(kind.bare, value, path)
