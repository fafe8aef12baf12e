"""The functions of an app as the host sees them: a name, a trigger, outputs.

Parsed from the worker's metadata. `%SETTING%` in a binding's values is replaced here, as the platform does.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.functions_host.errors import ConfigurationError

TRIGGERS = ("httpTrigger", "eventGridTrigger", "timerTrigger", "queueTrigger")
OUTPUTS = ("http", "queue")
_SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding; `options` holds what is special to its type (`route`, `schedule`, `queueName`, ...)."""

    kind: str
    name: str
    options: Mapping[str, Any]

    def text(self, option: str, default: str = "") -> str:
        value = self.options.get(option)
        return default if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Function:
    id: str
    name: str
    trigger: Binding
    outputs: tuple[Binding, ...]
    disabled: bool
    raw: tuple[Mapping[str, Any], ...] = ()
    """The bindings as the app declares them, for the list of functions."""
    script: str = ""


def parse(found: Any, settings: Mapping[str, str]) -> Function:
    """One function from the worker's metadata, whose bindings are JSON objects as text.

    Raises ConfigurationError for a binding this host cannot serve and for a setting that is not there.
    """
    name, declared = found.name, tuple(map(json.loads, found.raw_bindings))
    bindings = [_binding(name, one, settings) for one in declared]
    triggers = [binding for binding, direction in bindings if direction != "OUT"]
    outputs = tuple(binding for binding, direction in bindings if direction == "OUT")
    if len(triggers) != 1 or triggers[0].kind not in TRIGGERS:
        kinds = ", ".join(binding.kind for binding in triggers) or "none"
        raise ConfigurationError(f"function {name}: this host serves one of {', '.join(TRIGGERS)}, not: {kinds}")
    for output in outputs:
        if output.kind not in OUTPUTS:
            raise ConfigurationError(f"function {name}: this host has no output binding {output.kind}")
    return Function(
        found.function_id, name, triggers[0], outputs, _is_disabled(name, settings), declared, found.script_file
    )


def _binding(function: str, raw: dict[str, Any], settings: Mapping[str, str]) -> tuple[Binding, str]:
    def resolved(value: Any) -> Any:
        return _SETTING.sub(setting, value) if isinstance(value, str) else value

    def setting(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise ConfigurationError(f"function {function}: %{found[1]}% names a setting that is not there")
        return settings[found[1]]

    options = {key: resolved(value) for key, value in raw.items() if key not in ("type", "name", "direction")}
    direction = str(raw.get("direction", "IN")).upper()
    return Binding(str(raw["type"]), str(raw["name"]), options), direction


def _is_disabled(name: str, settings: Mapping[str, str]) -> bool:
    """The app setting `AzureWebJobs.NAME.Disabled`, or with single underscores; double ones have no effect."""
    values = (settings.get(f"AzureWebJobs{dot}{name}{dot}Disabled", "") for dot in (".", "_"))
    return any(value.lower() in ("1", "true") for value in values)
