"""A twin of the app in its functions' names, routes, methods, levels and triggers, for which the genuine host's answers were
recorded; functions named x_* are what the app has none of.

Each run is sent to the datagram socket that TWIN_JOURNAL names, at its start with what the function was given and at its end.
What it does is in the request: the header `x-steer` (of a message or an event: the field `steer`) holds JSON with some of
raise, sleep, ret, and of an answer status, headers, body, size, hex, mimetype, charset.
"""

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import azure.functions as func

Level = func.AuthLevel
app = func.FunctionApp(http_auth_level=Level.FUNCTION)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
RETURNS: dict[str, Any] = {
    "none": None,
    "bytes": b"some bytes",
    "dict": {"a": 1},
    "list": [1, 2],
    "tuple": ("text", 201),
    "int": 7,
}
TIMES = ("insertion_time", "expiration_time", "time_next_visible")


@contextmanager
def run(function: str, seen: dict[str, Any]) -> Iterator[None]:
    say({"function": function, **seen})
    try:
        yield
    finally:
        say({"ended": function})


def say(document: dict[str, Any]) -> None:
    journal.sendto(json.dumps(document, default=repr).encode(), os.environ["TWIN_JOURNAL"])


def body_of(raw: bytes) -> dict[str, Any]:
    """As recorded: a short body as text or hex, a long one by its hash."""
    known: dict[str, Any] = {"type": "bytes", "length": len(raw)}
    if len(raw) > 300:
        return known | {"sha256": hashlib.sha256(raw).hexdigest()}
    try:
        return known | {"text": raw.decode()}
    except UnicodeDecodeError:
        return known | {"hex": raw.hex()}


def given(req: func.HttpRequest) -> dict[str, Any]:
    return {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
        "body": body_of(req.get_body()),
    }


def made(steer: dict[str, Any], seen: dict[str, Any]) -> Any:
    """What an HTTP function returns: as steered, else an echo of what it was given."""
    kind = steer.get("ret", "response")
    if kind == "str":
        return steer.get("body", "a str")
    if kind in RETURNS:
        return RETURNS[kind]
    body, options = (
        steer.get("body"),
        {name: steer[name] for name in ("mimetype", "charset", "headers") if name in steer},
    )
    if "size" in steer:
        body = b"x" * steer["size"]
    elif "hex" in steer:
        body = bytes.fromhex(steer["hex"])
    elif "body" not in steer:
        body = json.dumps(seen)
        options.setdefault("mimetype", "application/json")
    return func.HttpResponse(body, status_code=steer.get("status", 200), **options)


async def obeyed(steer: dict[str, Any]) -> None:
    await asyncio.sleep(steer.get("sleep", 0))
    if "raise" in steer:
        raise ValueError(steer["raise"])


async def answered(name: str, req: func.HttpRequest) -> Any:
    seen, steer = given(req), json.loads(req.headers.get("x-steer") or "{}")
    with run(name, seen):
        await obeyed(steer)
        return made(steer, seen)


def http(name: str, template: str | None, *methods: str, level: Level = Level.FUNCTION) -> None:
    async def function(req: func.HttpRequest) -> func.HttpResponse:
        return await answered(name, req)

    function.__name__ = name
    app.route(route=template, methods=list(methods) or None, auth_level=level)(function)


@app.event_grid_trigger(arg_name="event")
async def on_resource_event(event: func.EventGridEvent) -> None:
    # The library gives an event of the CloudEvents schema as one, whatever is annotated; what it lacks was None.
    data = event.get_json() if hasattr(event, "get_json") else event.data
    shown = data if len(str(data)) < 2000 else {"length_of_text": len(json.dumps(data))}
    names = ("id", "topic", "subject", "event_type", "data_version")
    seen = {name: getattr(event, name, None) for name in names}
    with run("on_resource_event", {**seen, "event_time": str(getattr(event, "event_time", None)), "data": shown}):
        await obeyed(data.get("steer", {}) if isinstance(data, dict) else {})


http("on_alert", "alerts", "POST")
http("on_report", "reports", "POST")
http("reconcile", "reconcile/{topology?}", "POST")
http("order", "topologies/{topology}/services/{service}/{verb}", "POST")
http("status", "status/{topology?}", "GET")


@app.timer_trigger(schedule="%HOPKEEPER_SWEEP_SCHEDULE%", arg_name="timer", run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:
    seen = {"past_due": timer.past_due, "schedule": timer.schedule, "schedule_status": timer.schedule_status}
    with run("sweep", seen):
        pass


@app.queue_trigger(arg_name="message", queue_name="hopkeeper-wakeups", connection="AzureWebJobsStorage")
async def on_wakeup(message: func.QueueMessage) -> None:
    seen = {"id": message.id, "body": body_of(message.get_body()), "dequeue_count": message.dequeue_count}
    seen |= {name: str(getattr(message, name)) for name in TIMES} | {"pop_receipt": message.pop_receipt}
    with run("on_wakeup", seen):
        try:
            steer = json.loads(message.get_body())["steer"]
        except (ValueError, LookupError, TypeError):
            steer = {}
        await obeyed(steer)


http("x_open", "open", level=Level.ANONYMOUS)
http("x_admin", "guarded", level=Level.ADMIN)


@app.route(route="sync", auth_level=Level.ANONYMOUS)
def x_sync(req: func.HttpRequest) -> func.HttpResponse:
    seen, steer = given(req), json.loads(req.headers.get("x-steer") or "{}")
    with run("x_sync", seen):
        if "raise" in steer:
            raise ValueError(steer["raise"])
        return made(steer, seen)


http("x_two_param", "two/{name}", level=Level.ANONYMOUS)
http("x_two_fixed", "two/fixed", level=Level.ANONYMOUS)
http("x_clash_a", "clash/{a}", level=Level.ANONYMOUS)
http("x_clash_b", "clash/{b}", level=Level.ANONYMOUS)
http("x_files", "files/{*path}", level=Level.ANONYMOUS)
http("x_number", "number/{n:int}", level=Level.ANONYMOUS)
http("x_plain", None, level=Level.ANONYMOUS)


@app.route(route="context", auth_level=Level.ANONYMOUS)
async def x_context(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    trace, retry = context.trace_context, context.retry_context
    seen = given(req) | {
        "context": {
            "trace_parent": trace.trace_parent,
            "trace_state": trace.trace_state,
            "attributes": sorted(trace.attributes) or None,
            "invocation_id": context.invocation_id,
            "function_name": context.function_name,
            "retry": repr(vars(retry)) if retry else None,
        }
    }
    with run("x_context", seen):
        return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="loose", auth_level=Level.ANONYMOUS)
async def x_loose(req: func.HttpRequest):
    return await answered("x_loose", req)
