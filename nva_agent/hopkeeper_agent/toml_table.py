"""Strict reading of TOML tables: every key must be asked for, every error names the path of what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the path and the rule."""


class Table:
    """One table of a TOML document, read key by key. Ends with `finish`, which refuses what was not asked for."""

    def __init__(self, value: Mapping[str, Any], path: str) -> None:
        self._value = dict(value)
        self._path = path

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        return self._take(key, default, lambda value: value if isinstance(value, str) and value else None, "a text")

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return self._take(key, default, lambda value: value if isinstance(value, bool) else None, "true or false")

    def integer(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number within bounds."""
        return self._take(
            key,
            default,
            lambda value: value if type(value) is int and low <= value <= high else None,
            f"a whole number from {low} to {high}",
        )

    def number(self, key: str, default: float | None = None, *, low: float, high: float) -> float:
        """A number of seconds within bounds."""
        return self._take(
            key,
            default,
            lambda value: float(value) if type(value) in (int, float) and low <= value <= high else None,
            f"a number from {low} to {high}",
        )

    def address(self, key: str, default: IPv4Address | None = None) -> IPv4Address:
        """A literal IPv4 address; names are never resolved."""
        return self._take(key, default, _address, "a literal IPv4 address")

    def path(self, key: str, default: str | None = None) -> Path:
        """An absolute path."""
        return self._take(key, None if default is None else Path(default), _absolute, "an absolute path")

    def texts(self, key: str, *, allow_empty: bool = False) -> tuple[str, ...]:
        """A list of texts, with at least one unless an empty list is allowed."""
        found: tuple[str, ...] = self._take(key, None, _texts, "a list of texts")
        if not found and not allow_empty:
            raise self.wrong(key, "must be a list of texts with at least one")
        return found

    def has(self, key: str) -> bool:
        """Whether the key is there and not read yet."""
        return key in self._value

    def table(self, key: str) -> Table:
        """A table; empty if it is not there."""
        value = self._value.pop(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "not a table")
        return Table(value, self._at(key))

    def tables(self, key: str) -> list[Table]:
        """An array of tables; empty if it is not there."""
        value = self._value.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "not an array of tables")
        return [Table(item, f"{self._at(key)}[{index}]") for index, item in enumerate(value)]

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in sorted(self._value):
            raise self.wrong(key, "unknown key")

    def wrong(self, key: str, rule: str) -> ConfigError:
        """The error for a key of this table."""
        return ConfigError(f"{self._at(key)}: {rule}")

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _take(self, key: str, default: T | None, read: Callable[[Any], T | None], rule: str) -> T:
        if key not in self._value:
            if default is None:
                raise self.wrong(key, f"missing, must be {rule}")
            return default
        value = read(self._value.pop(key))
        if value is None:
            raise self.wrong(key, f"must be {rule}")
        return value


def _address(value: Any) -> IPv4Address | None:
    try:
        return IPv4Address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _absolute(value: Any) -> Path | None:
    return Path(value) if isinstance(value, str) and value.startswith("/") else None


def _texts(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        return None
    return tuple(value)
