"""A Function App with one of everything the lab's host serves; the tests drive it from outside.

What its functions were given can be read at /api/journal.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, List  # noqa: UP035 - func.Out wants typing.List

import azure.functions as func
from more_functions import blueprint

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(blueprint)

journal: list[dict[str, Any]] = []
freed = asyncio.Event()


def answer(document: object, status: int = 200) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(document), status_code=status, mimetype="application/json")


@app.route(route="journal", methods=["GET"])
def read_journal(req: func.HttpRequest) -> func.HttpResponse:
    return answer(journal)


@app.route(route="hello/{name?}", methods=["GET"])
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return answer(
        {
            "route": dict(req.route_params),
            "query": dict(req.params),
            "headers": dict(req.headers),
            "body": req.get_body().decode(),
            "url": req.url,
            "greeting": os.environ["GREETING"],
            "cwd": os.getcwd(),
        }
    )


@app.route(route="echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Echoed": "yes", "Content-Type": req.headers.get("content-type", "")}
    return func.HttpResponse(req.get_body(), status_code=int(req.params.get("status", "200")), headers=headers)


@app.route(route="items/{id:int}", methods=["GET"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    return answer({"function": "item", **req.route_params})


@app.route(route="items/{*rest}", methods=["GET"])
def items(req: func.HttpRequest) -> func.HttpResponse:
    return answer({"function": "items", **req.route_params})


@app.route(route="nothing", methods=["GET"])
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)


@app.route(route="text", methods=["GET"])
def text(req: func.HttpRequest) -> str:
    return "grüße"


@app.route(route="cookie", methods=["GET"])
def cookie(req: func.HttpRequest) -> func.HttpResponse:
    attributes = "Path=/; Max-Age=60; Expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly; SameSite=Strict"
    return func.HttpResponse("", headers={"Set-Cookie": f"a=b; {attributes}"})


@app.route(route="raise", methods=["GET"])
async def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("a secret detail\nof two lines")


@app.route(route="hold", methods=["GET"])
async def hold(req: func.HttpRequest) -> func.HttpResponse:
    await freed.wait()
    return answer("freed")


@app.route(route="free", methods=["POST"])
async def free(req: func.HttpRequest) -> func.HttpResponse:
    freed.set()
    return answer("ok")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    journal.append({"function": "slow"})
    while not Path(req.params["until"]).exists():  # noqa: ASYNC110 - the test's only way to say when
        await asyncio.sleep(0.02)
    return answer("done")


@app.route(route="stuck", methods=["GET"])
def stuck(req: func.HttpRequest) -> func.HttpResponse:
    journal.append({"function": "stuck"})
    time.sleep(60)
    return answer("late")


@app.route(route="locked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def locked(req: func.HttpRequest) -> func.HttpResponse:
    return answer("open")


@app.route(route="master", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
def master(req: func.HttpRequest) -> func.HttpResponse:
    return answer("open")


@app.route(route="work", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
def put_work(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    out.set(req.get_json())
    return answer("sent", 202)


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="$return", queue_name="done", connection="")
def on_work(message: func.QueueMessage) -> str:
    body = message.get_body().decode()
    journal.append(
        {
            "function": "on_work",
            "body": body,
            "id": message.id,
            "dequeue_count": message.dequeue_count,
            "inserted": message.insertion_time.isoformat() if message.insertion_time else None,
        }
    )
    if body.startswith("fail"):
        raise RuntimeError(body)
    return f"{body} done"


@app.queue_trigger(arg_name="message", queue_name="done", connection="AzureWebJobsStorage")
async def on_done(message: func.QueueMessage) -> None:
    journal.append({"function": "on_done", "body": message.get_body().decode()})


@app.timer_trigger(arg_name="timer", schedule="%SWEEP%", run_on_startup=False)
async def sweep(timer: func.TimerRequest) -> None:
    journal.append({"function": "sweep", "past_due": timer.past_due, "status": timer.schedule_status})
