"""The only reader of the environment. Every setting the app knows, with its default; nothing is read at import.

| setting | default | meaning |
|---|---|---|
| `AzureWebJobsStorage` | | connection string, or `directory:PATH` on one machine |
| `AzureWebJobsStorage__blobServiceUri` | | the storage account's blobs, with the managed identity (no keys) |
| `AzureWebJobsStorage__queueServiceUri` | | its queues: goes with the blobs |
| `AzureWebJobsStorage__accountName` | | instead of both: an account of the public cloud |
| `HOPKEEPER_SIGNING_KEY` | required | the app's private key (PEM, EC P-256), or `file:PATH` |
| `HOPKEEPER_ARM_ENDPOINT` | `https://management.azure.com` | Azure Resource Manager of the cloud in use |
| `HOPKEEPER_ARM_AUDIENCE` | `https://management.azure.com` | the audience of its token |
| `HOPKEEPER_METRICS_ENDPOINT` | none: metrics are not read | e.g. `https://uksouth.metrics.monitor.azure.com` |
| `HOPKEEPER_LOGS_ENDPOINT`, `HOPKEEPER_LOGS_WORKSPACE` | none: logged events are not read | Log Analytics |
| `HOPKEEPER_EVENTS_ENDPOINT` | none: nothing is published | Event Grid topic for CloudEvents |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | none: nothing is sent | the OpenTelemetry collector, without `/v1/traces` |
| `OTEL_EXPORTER_OTLP_HEADERS` | none | `name=value,...`, percent-encoded: over https or on loopback only |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/json` | refused where it is another one |
| `HOPKEEPER_CLIENT_ID` | none: system-assigned | user-assigned managed identity |
| `IDENTITY_ENDPOINT` | set by the platform | there is a managed identity; without it, whatever azure-identity finds |
| `HOPKEEPER_CA_FILE` | the system's | PEM file of the authorities that Azure's endpoints are checked against |
| `HOPKEEPER_ALLOW_LOOPBACK` | `false` | topologies may live on loopback addresses: a lab on one machine |
| `HOPKEEPER_OBSERVE_ONLY` | `false` | passes look and say what they would do, and write nothing: for upgrades |
| `HOPKEEPER_APP_SUBNET_ID` | none: the app's own way out is not judged | id of the subnet that the app is integrated with |
| `HOPKEEPER_SWEEP_SCHEDULE` | required by host.json's timer | six-field schedule of the sweep |
| `HOPKEEPER_ENTRA_CLIENT_ID` | none: function keys alone | id of the registration in Entra ID whose roles say who may |
| `WEBSITE_AUTH_ENABLED` | set by the platform | its authentication is on, and writes the headers that name who calls |

Of the command line alone, also `app`, `key_file` and `audience` in `~/.config/hopkeeper/config.toml` (`XDG_CONFIG_HOME`):

| setting | default | meaning |
|---|---|---|
| `HOPKEEPER_APP` | none: storage and ARM themselves | the running app to ask, an https URL (http on loopback) |
| `HOPKEEPER_KEY_FILE` | none: a token of `az login` | file that holds a function key of it |
| `HOPKEEPER_AUDIENCE` | none | what that token is for, `api://CLIENT_ID` of the app's registration |
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from function_app.domain.base.errors import BadInput, Problem

SUBNET_ID = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.Network/virtualNetworks/[^/\s]+/subnets/[^/\s]+",
    re.IGNORECASE,
)
AZURE = "https://management.azure.com"
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """A directory, a connection string, or both endpoints (https URLs)."""

    directory: Path | None = None
    connection_string: str | None = None
    blobs: str = ""
    queues: str = ""


@dataclass(frozen=True, slots=True)
class Otlp:
    """The OpenTelemetry collector, and the headers of requests to it; `closed` says why nothing is sent although one is named."""

    endpoint: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    closed: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """See the module's table."""

    storage: StorageSettings
    signing_key: str
    arm_endpoint: str = AZURE
    arm_audience: str = AZURE
    metrics_endpoint: str | None = None
    logs_endpoint: str | None = None
    logs_workspace: str | None = None
    events_endpoint: str | None = None
    managed_identity: bool = False
    client_id: str | None = None
    ca_file: str | None = None
    allow_loopback: bool = False
    observe_only: bool = False
    app_subnet: str | None = None
    otlp: Otlp = Otlp()


@dataclass(frozen=True, slots=True)
class SignIn:
    """The registration in Entra ID for which tokens are taken, in lower case; `closed` says why none are."""

    client_id: str = ""
    closed: str = ""


CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def sign_in(env: Mapping[str, str] = environ) -> SignIn:
    """Whose tokens are taken. What is wrong closes this way in and nothing else: a failover must not end with it."""
    client_id = env.get("HOPKEEPER_ENTRA_CLIENT_ID", "").strip().lower()
    if not client_id:
        return SignIn(closed="HOPKEEPER_ENTRA_CLIENT_ID is not set")
    if not CLIENT_ID.fullmatch(client_id):
        return SignIn(closed="HOPKEEPER_ENTRA_CLIENT_ID is no client id, a GUID as `az ad app list` shows it")
    if env.get("WEBSITE_AUTH_ENABLED", "").strip().lower() != "true":
        return SignIn(
            client_id, "the platform's authentication is off (WEBSITE_AUTH_ENABLED): anybody could write who calls"
        )
    return SignIn(client_id)


URLS = (
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "HOPKEEPER_ARM_ENDPOINT",
    "HOPKEEPER_METRICS_ENDPOINT",
    "HOPKEEPER_LOGS_ENDPOINT",
    "HOPKEEPER_EVENTS_ENDPOINT",
)


def from_environment(env: Mapping[str, str] = environ, signs: bool = True, stores: bool = True) -> Settings:
    """Reads and checks the environment. Raises BadInput naming every setting that is wrong or missing. `signs`: whether agents
    are to be reached, which take only what is signed; without it the signing key is not read, and is empty. `stores`:
    whether there must be a storage."""
    problems: list[Problem] = []

    def optional(name: str) -> str | None:
        return env.get(name, "").strip() or None

    storage = _storage(optional, problems, stores)
    signing_key = _signing_key(optional("HOPKEEPER_SIGNING_KEY"), problems) if signs else ""
    for name in URLS:
        if (value := optional(name)) and not value.startswith("https://"):
            problems.append(Problem(name, f"must be an https URL, is {value!r}"))
    if bool(optional("HOPKEEPER_LOGS_ENDPOINT")) != bool(optional("HOPKEEPER_LOGS_WORKSPACE")):
        problems.append(Problem("HOPKEEPER_LOGS_WORKSPACE", "goes with HOPKEEPER_LOGS_ENDPOINT: set both or none"))

    app_subnet = optional("HOPKEEPER_APP_SUBNET_ID")
    if app_subnet and not SUBNET_ID.fullmatch(app_subnet):
        problems.append(Problem("HOPKEEPER_APP_SUBNET_ID", f"must be the resource id of a subnet, is {app_subnet!r}"))

    def flag(name: str) -> bool:
        value = optional(name) or "false"
        if value not in ("true", "false"):
            problems.append(Problem(name, f"must be true or false, is {value!r}"))
        return value == "true"

    allow_loopback, observe_only = flag("HOPKEEPER_ALLOW_LOOPBACK"), flag("HOPKEEPER_OBSERVE_ONLY")
    if problems:
        raise BadInput(tuple(problems))
    return Settings(
        storage=storage,
        signing_key=signing_key,
        arm_endpoint=optional("HOPKEEPER_ARM_ENDPOINT") or AZURE,
        arm_audience=optional("HOPKEEPER_ARM_AUDIENCE") or AZURE,
        metrics_endpoint=optional("HOPKEEPER_METRICS_ENDPOINT"),
        logs_endpoint=optional("HOPKEEPER_LOGS_ENDPOINT"),
        logs_workspace=optional("HOPKEEPER_LOGS_WORKSPACE"),
        events_endpoint=optional("HOPKEEPER_EVENTS_ENDPOINT"),
        managed_identity=optional("IDENTITY_ENDPOINT") is not None,
        client_id=optional("HOPKEEPER_CLIENT_ID"),
        ca_file=optional("HOPKEEPER_CA_FILE"),
        allow_loopback=allow_loopback,
        observe_only=observe_only,
        app_subnet=app_subnet,
        otlp=_collector(optional),
    )


def _collector(optional: Callable[[str], str | None]) -> Otlp:
    """The OpenTelemetry collector. `OTEL_*` are OpenTelemetry's own names, which a platform may set for others as well: what is
    wrong with them only keeps telemetry from being sent."""
    endpoint = (optional(OTLP) or "").rstrip("/")
    if not endpoint:
        return Otlp()
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        return Otlp(closed=f"{OTLP}: must be an http or https URL, is {endpoint!r}")
    protocol = optional("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/json"
    if protocol != "http/json":
        rule = f"must be http/json, the only one that is spoken here, or left out; is {protocol!r}"
        return Otlp(closed=f"OTEL_EXPORTER_OTLP_PROTOCOL: {rule}")
    return _with_headers(endpoint, optional(HEADERS) or "")


def _with_headers(endpoint: str, given: str) -> Otlp:
    if given.startswith("@Microsoft.KeyVault("):
        return Otlp(closed=f"{HEADERS}: its Key Vault reference is not resolved")
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    headers = tuple((name.strip(), unquote(value.strip())) for name, _, value in pairs)
    if not all(name and value for name, value in headers):
        return Otlp(closed=f"{HEADERS}: must be name=value, separated by commas")
    if headers and not _is_safe(endpoint):
        return Otlp(
            closed=f"{HEADERS}: are sent over https only, or without leaving this machine: {OTLP} is {endpoint!r}"
        )
    return Otlp(endpoint, headers)


def _storage(optional: Callable[[str], str | None], problems: list[Problem], needed: bool) -> StorageSettings:
    if webjobs := optional("AzureWebJobsStorage"):
        if webjobs.startswith("directory:"):
            return StorageSettings(directory=Path(webjobs.removeprefix("directory:")))
        return StorageSettings(connection_string=webjobs)
    if account := optional("AzureWebJobsStorage__accountName"):
        return StorageSettings(
            blobs=f"https://{account}.blob.core.windows.net", queues=f"https://{account}.queue.core.windows.net"
        )
    blobs, queues = optional("AzureWebJobsStorage__blobServiceUri"), optional("AzureWebJobsStorage__queueServiceUri")
    if needed and not blobs and not queues:
        problems.append(
            Problem(
                "AzureWebJobsStorage__accountName",
                "must be set, the name of the storage account (or AzureWebJobsStorage__blobServiceUri and __queueServiceUri, or "
                "AzureWebJobsStorage)",
            )
        )
    elif bool(blobs) != bool(queues):
        problems.append(
            Problem("AzureWebJobsStorage__blobServiceUri", "and AzureWebJobsStorage__queueServiceUri go together")
        )
    return StorageSettings(blobs=(blobs or "").rstrip("/"), queues=(queues or "").rstrip("/"))


def _signing_key(value: str | None, problems: list[Problem]) -> str:
    if value is None:
        problems.append(
            Problem(
                "HOPKEEPER_SIGNING_KEY",
                "must be set, file:PATH or the key in PEM: agents take only commands that are signed with it",
            )
        )
        return ""
    if not value.startswith("file:"):
        return value
    try:
        return Path(value.removeprefix("file:")).read_text()
    except OSError as error:
        problems.append(Problem("HOPKEEPER_SIGNING_KEY", f"cannot be read: {error.strerror}"))
        return ""


@dataclass(frozen=True, slots=True)
class NamedApp:
    """A running app that the command line uses. `audience`: of a token, where there is no key."""

    url: str
    key_file: Path | None = None
    audience: str | None = None


CONFIGURED = ("app", "key_file", "audience")


def named_app(
    url: str | None = None, key_file: Path | None = None, env: Mapping[str, str] = environ
) -> NamedApp | None:
    """The app that the command line is to use, by its options, the environment or a file; None where none is named. A key or
    audience in the file belongs to the app that is named there. Raises BadInput."""
    file, kept = _configured(env)

    def first(name: str, of_file: Mapping[str, str]) -> str:
        return env.get(f"HOPKEEPER_{name.upper()}", "").strip() or of_file.get(name, "")

    named = (url or first("app", kept)).rstrip("/")
    if not named:
        return None
    if not _is_safe(named):
        raise BadInput.of(
            "--app", f"or HOPKEEPER_APP, or app in {file}: {named!r} is no https URL (http on loopback alone)"
        )
    of_file = kept if kept.get("app", "").rstrip("/") == named else {}
    key, audience = str(key_file or "") or first("key_file", of_file), first("audience", of_file)
    if not key and not audience:
        rule = f"of {named} must be set, or HOPKEEPER_AUDIENCE (api://CLIENT_ID) for a token of az login"
        raise BadInput.of("--key-file or HOPKEEPER_KEY_FILE", rule)
    return NamedApp(named, Path(key).expanduser() if key else None, audience or None)


def _configured(env: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The file, and what it says; nothing where it is not there. Raises BadInput."""
    home = env.get("XDG_CONFIG_HOME", "").strip() or f"{env.get('HOME', '')}/.config"
    file = Path(home) / "hopkeeper" / "config.toml"
    try:
        kept: dict[str, Any] = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return file, {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput.of(str(file), f"cannot be read: {error}") from error
    for key, value in kept.items():
        if key not in CONFIGURED or not isinstance(value, str):
            raise BadInput.of(f"{file}: {key}", f"must be a text under one of {', '.join(CONFIGURED)}")
    return file, kept


def _is_safe(url: str) -> bool:
    """Whether a key may be sent there: encrypted, or without leaving this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return parts.scheme == "https" and bool(parts.hostname)
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
