"""The host's side of the worker protocol, as recorded (recorded/worker.json), played to a fresh worker over an app.

The worker process is the lab's, in which the real libraries run; every message is one that the genuine host sent, with
this app's settings in place of the recorded app's.
"""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format

from function_app.reconcile import deployed
from tools.functions_host.channel import Channel
from tools.functions_host.protocol import PROTOS, load_request

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDED = json.loads((Path(__file__).parent / "recorded" / "worker.json").read_text())
FUNCTIONS = list(deployed.FUNCTIONS)


@dataclass
class Entry:
    """One worker that was entered; `answer` is what it said to the message that entered it."""

    channel: Channel
    app: Path
    answer: Any
    uses_default_indexing: bool = False
    found: list[Any] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return sorted(one.name for one in self.found)

    @property
    def succeeded(self) -> bool:
        return bool(self.answer.result.status == PROTOS.StatusResult.Success)

    async def load(self, functions: list[Any]) -> list[bool]:
        """All load requests at once, sorted by name, with the host's reduced metadata."""
        requests = [
            self.channel.ask(function_load_request=load_request(one))
            for one in sorted(functions, key=lambda one: one.name)
        ]
        return [(await one).result.status == PROTOS.StatusResult.Success for one in requests]

    async def invoke(self, invocation: dict[str, Any], function_id: str) -> Any:
        fields = {key: value for key, value in invocation.items() if key != "function"}
        message = json_format.ParseDict(fields, PROTOS.InvocationRequest())
        message.function_id = function_id
        message.trace_context.SetInParent()
        return await self.channel.ask(invocation_request=message)


async def enter_through_placeholder(app: Path, scratch: Path, settings: dict[str, str], kind: str = "flex") -> Entry:
    """First entry, section 7 of the findings: standby, then the reload message, then the question for the functions."""
    scratch.mkdir(exist_ok=True)
    places = _places(app, scratch)
    standby = Path(_put(RECORDED["standby"], places))
    standby.mkdir(parents=True)
    channel = await Channel.start(_all(RECORDED["placeholder"][kind], places), standby, "warning")
    await channel.ask(worker_init_request=_init(standby, places))
    request = PROTOS.FunctionsMetadataRequest(function_app_directory=str(standby))
    waiting = await channel.ask(functions_metadata_request=request)
    # A worker that answers with functions here makes the platform's warm-up a 404.
    assert (waiting.use_default_metadata_indexing, list(waiting.function_metadata_results)) == (True, [])
    environment = _all(RECORDED["assigned"], places) | settings
    message = PROTOS.FunctionEnvironmentReloadRequest(
        environment_variables={name: value for name, value in environment.items() if value},
        function_app_directory=str(app),
    )
    answer = await channel.ask(function_environment_reload_request=message)
    return await _with_functions(Entry(channel, app, answer))


async def enter_after_a_death(app: Path, scratch: Path, settings: dict[str, str]) -> Entry:
    """Entry of a second worker: its settings are in its environment, and the host does not request its functions."""
    scratch.mkdir(exist_ok=True)
    places = _places(app, scratch)
    channel = await Channel.start(_all(RECORDED["restarted"], places) | settings, app, "warning")
    return Entry(channel, app, await channel.ask(worker_init_request=_init(app, places)))


async def enter_ordinarily(app: Path, scratch: Path, settings: dict[str, str]) -> Entry:
    """Entry as `func start` (Core Tools) makes it: the settings are there from the start, and the functions are requested."""
    return await _with_functions(await enter_after_a_death(app, scratch, settings))


async def _with_functions(entry: Entry) -> Entry:
    request = PROTOS.FunctionsMetadataRequest(function_app_directory=str(entry.app))
    answer = await entry.channel.ask(functions_metadata_request=request)
    entry.uses_default_indexing = answer.use_default_metadata_indexing
    entry.found = list(answer.function_metadata_results)
    return entry


def settings_of_the_template(storage: Path) -> dict[str, str]:
    """Every app setting that infra/bicep/main.bicep sets, by name: a forgotten one is missing here too.

    Literal values are taken from there, what an expression gives is made up; storage is a directory, for the messages'
    own functions to run over.
    """
    template = (REPOSITORY / "infra" / "bicep" / "main.bicep").read_text()
    (block,) = re.findall(r"^( +)settings: \{\n(.*?)^\1\}", template, re.M | re.S)
    found = dict(re.findall(r"^ +(\w+): (.*)$", block[1], re.M))
    values = {name: _value(name, text) for name, text in found.items()}
    return values | {"HOPKEEPER_SIGNING_KEY": _key(), "AzureWebJobsStorage": f"directory:{storage}"}


def _value(name: str, text: str) -> str:
    """A literal as it is, with 5 for what is put into it; else something of the right shape."""
    if text.startswith("'"):
        return re.sub(r"\$\{[^}]+\}", "5", text.strip("'"))
    if "ENDPOINT" in name or "AUDIENCE" in name or name.endswith("ServiceUri"):
        return "https://endpoint.invalid"
    if name == "OTEL_EXPORTER_OTLP_HEADERS":
        return "api-key=none"
    if text == "appSubnet":
        return "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/snet-hopkeeper"
    return "false" if text.endswith("'false'") else "11111111-1111-1111-1111-111111111111"


def _key() -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


def _init(directory: Path, places: dict[str, str]) -> Any:
    return PROTOS.WorkerInitRequest(
        host_version=RECORDED["host_version"],
        capabilities=RECORDED["capabilities"],
        worker_directory=_put("{WORKERS}/python", places),
        function_app_directory=str(directory),
    )


def _places(app: Path, scratch: Path) -> dict[str, str]:
    return {
        "{APP}": str(app),
        "{TMP}": str(scratch),
        "{HOME}": str(scratch),
        "{WORKERS}": str(scratch / "workers"),
        "{PYTHON}": sys.executable,
        "{PATH}": os.environ["PATH"],
        "{KEY}": "made-up",
    }


def _all(environment: dict[str, str], places: dict[str, str]) -> dict[str, str]:
    return {name: _put(value, places) for name, value in environment.items()}


def _put(text: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text
