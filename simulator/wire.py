"""Requests and replies as the wire formats pass them around, independent of the HTTP server, and ARM's rendering.

Header forms from recorded traffic (Microsoft.Network, api 2021-02-01 and 2021-05-01).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote_plus

from simulator.clock import Pace
from simulator.resources import Json
from simulator.state import ArmError, FlatError, State

JSON_TYPE = "application/json; charset=utf-8"
NO_BODY = object()
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# What ARM itself refuses, before a resource provider has seen it: recorded without `details`.
GATEWAY = frozenset({"ResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound", "ParentResourceNotFound"})


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` has lower-case names; `base_url` is the scheme and host the client used."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str

    def document(self) -> Json:
        """The body as a JSON object, empty when there is none. Raises ArmError."""
        if not self.body.strip():
            return {}
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise ArmError(400, "InvalidRequestContent", f"The request content was invalid: {error}") from error
        if not isinstance(found, dict):
            raise ArmError(400, "InvalidRequestContent", "The request content must be a JSON object.")
        return found


@dataclass(slots=True)
class Reply:
    """`body` is rendered as JSON, `NO_BODY` as nothing at all."""

    status: int
    body: Any = NO_BODY
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if self.body is NO_BODY:
            return b""
        # Indented and with carriage returns, as the network resource provider answers.
        return json.dumps(self.body, indent=2).replace("\n", "\r\n").encode()


def decoded(query: Mapping[str, str]) -> dict[str, str]:
    """Query values that a client quoted more than once, as `az monitor metrics list` quotes its timespan.

    Azure takes them: Azure/azure-cli, test_monitor_metrics_scenario.yaml at 1268baa3, `timespan=2018-01-01T00%253A00...`.
    """
    plain = {}
    for name, value in query.items():
        while ESCAPE.search(value):
            value = unquote_plus(value)
        plain[name] = value
    return plain


def error_reply(error: ArmError) -> Reply:
    body: Json = {"code": error.code, "message": error.message}
    headers = dict(error.headers)
    if error.code in GATEWAY:
        headers["x-ms-failure-cause"] = "gateway"
    elif not isinstance(error, FlatError):
        body["details"] = list(error.details)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return Reply(error.status, body if isinstance(error, FlatError) else {"error": body}, headers)


def retry_headers(wait: timedelta, pace: Pace) -> dict[str, str]:
    """Retry-After in whole seconds; a wait that scaling made a fraction goes into `x-ms-retry-after-ms`.

    The management SDKs read Retry-After as an integer and fail on "0.25"; azure-core reads the other one where there
    is no Retry-After, and takes a Retry-After of 0 for none.
    """
    seconds = wait.total_seconds()
    if pace.factor == 1 or seconds == int(seconds):
        return {"Retry-After": str(max(1, math.ceil(seconds)))}
    return {"x-ms-retry-after-ms": str(max(1, math.ceil(seconds * 1000)))}


def common_headers(state: State, request_id: str) -> dict[str, str]:
    return {
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "Date": format_datetime(state.now(), usegmt=True),
        "Server": "Microsoft-HTTPAPI/2.0",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": state.new_id(),
        "x-ms-arm-service-request-id": state.new_id(),
    }
