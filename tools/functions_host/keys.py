"""Access keys: the file they live in, and what a presented key is good for.

Levels follow the platform: the master key opens everything, a host key every function, a function's key that function,
a system key one extension's webhook.
"""

import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.functions_host.errors import ConfigurationError

EVENT_GRID = "eventgrid_extension"


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys by their names; a change is written into `file`, where there is one."""

    master: str
    functions: dict[str, str]
    per_function: dict[str, dict[str, str]]
    system: dict[str, str]
    file: Path | None = None

    def open_admin(self, key: str) -> bool:
        return _any_equals(key, [self.master])

    def open_function(self, key: str, function: str) -> bool:
        own = self.per_function.get(function, {})
        return _any_equals(key, [self.master, *self.functions.values(), *own.values()])

    def give_each_its_own(self, functions: Iterable[str]) -> None:
        """Every function has a key `default`, as on the platform."""
        for name in functions:
            self.per_function.setdefault(name, {}).setdefault("default", new_key())
        self.write()

    def write(self) -> None:
        document = {
            "master": self.master,
            "functions": self.functions,
            "perFunction": self.per_function,
            "system": self.system,
        }
        if self.file is not None and (not self.file.exists() or document != _read(self.file)):
            _write(self.file, document)

    def is_of_another_kind(self, key: str) -> bool:
        """A valid key that does not open what was requested: a host key, or an extension's own."""
        return _any_equals(key, [*self.functions.values(), *self.system.values()])

    def open_extension(self, key: str, extension_key: str) -> bool:
        system = self.system.get(extension_key)
        return _any_equals(key, [self.master] if system is None else [self.master, system])


def load(file: Path) -> Keys:
    """The keys in `file`; what is missing of them is made up and written, with mode 0600 for a new file.

    Shape: {"master": KEY, "functions": {NAME: KEY}, "perFunction": {FUNCTION: {NAME: KEY}}, "system": {NAME: KEY}}.
    Raises ConfigurationError.
    """
    document = _read(file) if file.exists() else {}
    found = Keys(
        document.get("master") or new_key(),
        document.get("functions") or {"default": new_key()},
        document.get("perFunction") or {},
        {EVENT_GRID: new_key()} | (document.get("system") or {}),
        file,
    )
    found.write()
    return found


def _any_equals(presented: str, valid: Iterable[str]) -> bool:
    """Without regard to case, as the platform compares keys."""
    return any(hmac.compare_digest(presented.lower().encode(), key.lower().encode()) for key in valid)


def new_key() -> str:
    return secrets.token_urlsafe(40)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as wrong:
        raise ConfigurationError(f"key file {file}: {wrong}") from wrong
    if not isinstance(document, dict):
        raise ConfigurationError(f"key file {file} must hold a JSON object")
    texts = [document.get("master", "")]
    for section in ("functions", "system"):
        texts += _values(document.get(section, {}), file, section)
    for name, section in _items(document.get("perFunction", {}), file, "perFunction"):
        texts += _values(section, file, f"perFunction.{name}")
    if not all(isinstance(text, str) for text in texts):
        raise ConfigurationError(f"key file {file}: every key must be a string")
    return document


def _values(section: Any, file: Path, name: str) -> list[Any]:
    return [value for _key, value in _items(section, file, name)]


def _items(section: Any, file: Path, name: str) -> list[tuple[str, Any]]:
    if not isinstance(section, dict):
        raise ConfigurationError(f"key file {file}: {name} must be an object")
    return list(section.items())


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(document, stream, indent=2)
        stream.write("\n")
    draft.rename(file)
