"""The app's settings: local.settings.json, host.json, and named connections.

Only reads. Sources: Azure Functions Core Tools for local.settings.json, the host.json reference v2 for the rest.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from tools.functions_host.errors import ConfigurationError

log = logging.getLogger(__name__)

STORAGE_SETTING = "AzureWebJobsStorage"
DIRECTORY_SCHEME = "directory:"
OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?")


class MessageEncoding(StrEnum):
    BASE64 = "base64"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """host.json's `extensions.queues` with the platform's defaults.

    `visibility_timeout` is how long a message whose processing failed stays hidden before the next attempt.
    `poll_max` bounds the growing pause between looks at an empty queue.
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    dequeue_max: int = 5
    visibility_timeout: timedelta = timedelta(0)
    poll_max: timedelta = timedelta(minutes=1)
    encoding: MessageEncoding = MessageEncoding.BASE64


DEFAULTS = QueueSettings()


@dataclass(frozen=True, slots=True)
class HostJson:
    """`function_timeout` is how long a run may take before its worker is killed; the plan's own default is 30 minutes.
    `bundle` is the id of the extension bundle: without one there are no queue and Event Grid triggers."""

    route_prefix: str = "api"
    queues: QueueSettings = DEFAULTS
    function_timeout: timedelta = timedelta(minutes=30)
    bundle: str = ""


def local_values(file: Path) -> dict[str, str]:
    """`Values` of a local.settings.json. Raises ConfigurationError."""
    document = _json_object(file)
    if document.get("IsEncrypted") is True:
        raise ConfigurationError(
            f"{file}: IsEncrypted is true; only Core Tools on the machine it was made on can read it"
        )
    values = document.get("Values", {})
    wrong = (
        [name for name, value in values.items() if not isinstance(value, str)]
        if isinstance(values, dict)
        else ["Values"]
    )
    if wrong:
        raise ConfigurationError(f"{file}: Values must map names to strings; wrong: {', '.join(wrong)}")
    return dict(values)


def host_json(file: Path, settings: Mapping[str, str]) -> HostJson:
    """host.json with the overrides `AzureFunctionsJobHost__section__name` from `settings`; defaults where it is missing.

    Raises ConfigurationError.
    """
    if file.exists():
        document = _json_object(file)
        if document.get("version") != "2.0":
            raise ConfigurationError(f'{file}: "version" must be "2.0", not {document.get("version")!r}')
    else:
        log.warning("%s does not exist: platform defaults are used", file)
        document = {}
    for name, value in sorted(settings.items()):
        if name.startswith(OVERRIDE_PREFIX):
            _override(document, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)
    extensions = _section(document, "extensions", file)
    http = _section(extensions, "http", file)
    try:
        queues = _queue_settings(_section(extensions, "queues", file))
    except (ValueError, TypeError) as wrong:
        raise ConfigurationError(f"{file}: extensions.queues: {wrong}") from wrong
    try:
        timeout = time_span(str(document.get("functionTimeout", "00:30:00")))
    except ValueError as wrong:
        raise ConfigurationError(f"{file}: functionTimeout: {wrong}") from wrong
    bundle = str(_section(document, "extensionBundle", file).get("id", ""))
    return HostJson(str(http.get("routePrefix", "api")).strip("/"), queues, timeout, bundle)


def connection(name: str, settings: Mapping[str, str]) -> str:
    """The value behind a binding's `connection`, tried as the platform does: as it is, then with its prefix.

    Raises ConfigurationError, naming the settings that were looked for.
    """
    tried = [name or STORAGE_SETTING, f"AzureWebJobs{name}"]
    for candidate in tried:
        if settings.get(candidate):
            return settings[candidate]
    raise ConfigurationError(f"connection {name or STORAGE_SETTING}: none of the settings {', '.join(tried)} is there")


def time_span(text: str) -> timedelta:
    """`[d.]hh:mm:ss[.fff]`, as .NET writes it. Raises ValueError."""
    found = _TIME_SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time span like 00:00:30")
    days, hours, minutes, seconds = (int(found[group] or 0) for group in (1, 2, 3, 4))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds + float(found[5] or 0))


def _queue_settings(section: Mapping[str, Any]) -> QueueSettings:
    batch_size = int(section.get("batchSize", DEFAULTS.batch_size))
    if not 1 <= batch_size <= 32:
        raise ValueError(f"batchSize is {batch_size}; it must be 1 to 32")
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=int(section.get("newBatchThreshold", batch_size // 2)),
        dequeue_max=int(section.get("maxDequeueCount", DEFAULTS.dequeue_max)),
        visibility_timeout=time_span(str(section.get("visibilityTimeout", "00:00:00"))),
        poll_max=time_span(str(section.get("maxPollingInterval", "00:01:00"))),
        encoding=MessageEncoding(str(section.get("messageEncoding", "base64")).lower()),
    )


def _section(document: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"{file}: {name} must be an object")
    return section


def _override(document: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        below = document.setdefault(part, {})
        if not isinstance(below, dict):
            return
        document = below
    document[path[-1]] = value


def _json_object(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as unreadable:
        raise ConfigurationError(f"{file}: {unreadable.strerror}") from unreadable
    except ValueError as wrong:
        raise ConfigurationError(f"{file} is not JSON: {wrong}") from wrong
    if not isinstance(document, dict):
        raise ConfigurationError(f"{file} must hold a JSON object")
    return document
