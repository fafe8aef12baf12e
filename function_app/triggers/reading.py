"""What is read: status, documents, history, explanation, plan, evidence, preflight. Nothing here changes anything.

Each function has a key of its own; give those of this module the same value, under one name, to who may read all of it.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import azure.functions as func
from msgspec import Meta

from function_app import wiring
from function_app.domain.base.errors import BadInput
from function_app.reconcile.documents.events import Events
from function_app.reconcile.documents.evidence import Evidence
from function_app.reconcile.documents.findings import Preflight, preflight_document
from function_app.reconcile.documents.history import Explanation, History
from function_app.reconcile.documents.plan import Plan
from function_app.reconcile.documents.status import Overview, Status
from function_app.reconcile.documents.topologies import TopologyList
from function_app.triggers.answers import TEXT, YAML, answer, shown
from function_app.triggers.caller import AppRole
from function_app.triggers.requests import DOCUMENT_MAX, Parameters, text_body
from function_app.triggers.surface import Call, Endpoint, Surface
from function_app.views.evidence import table
from function_app.views.explain import explanation_lines
from function_app.views.history import history_lines
from function_app.views.preflight import report_lines
from function_app.views.status import overview_lines, status_lines

WITHIN = timedelta(seconds=150)
"""How long `verify` waits for answers: they may take minutes, and the platform's front end does not wait for so long."""

blueprint = Surface()


@blueprint.serves(
    Endpoint(
        "GET",
        route="status/{topology?}",
        role=AppRole.READ,
        gives=Status | Overview,
        query=Parameters,
        also=TEXT,
        refuses=(404,),
    )
)
async def status(call: Call[Parameters]) -> func.HttpResponse:
    """Who serves, since when and why, and what is held: of one topology, or of all in short."""
    name, use_cases = call.topology(), wiring.use_cases()
    found = await use_cases.status(name) if name else await use_cases.overview()
    return shown(
        call.request, found, lambda: status_lines(found) if isinstance(found, Status) else overview_lines(found)
    )


@blueprint.serves(Endpoint("GET", route="topologies", role=AppRole.READ, gives=TopologyList, query=Parameters))
async def topologies(call: Call[Parameters]) -> func.HttpResponse:
    """Every topology, with the etag of its document."""
    return answer(await wiring.use_cases().listed())


class DocumentQuery(Parameters, frozen=True):
    """Of a topology's document."""

    previous: Annotated[bool, Meta(description="The document that was in force before this one.")] = False


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}",
        role=AppRole.READ,
        gives=None,
        query=DocumentQuery,
        media=YAML,
        refuses=(404,),
    )
)
async def topology(call: Call[DocumentQuery]) -> func.HttpResponse:
    """The document in force, as it was written, with its etag."""
    of, name = wiring.use_cases().topologies, call.named("topology")
    found = await (of.previous(name) if call.query.previous else of.written(name))
    return func.HttpResponse(found.text, mimetype=YAML, headers={"ETag": found.quoted_etag})


class HistoryQuery(Parameters, frozen=True):
    """Of a service's history."""

    most: Annotated[int, Meta(ge=1, le=1000, description="How many entries.")] = 32
    after: Annotated[
        datetime | None,
        Meta(description="Those that began later, the first `most` of them; without it the last `most` of all."),
    ] = None


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}/services/{service}/history",
        role=AppRole.READ,
        gives=History,
        query=HistoryQuery,
        also=TEXT,
        refuses=(404,),
    )
)
async def history(call: Call[HistoryQuery]) -> func.HttpResponse:
    """What was decided about a service, and why: an entry each pass, the newest last."""
    name, service, asked = call.named("topology"), call.named("service"), call.query
    entries = await wiring.use_cases().history(name, service, asked.most, _utc("after", asked.after))
    return shown(call.request, History(topology=name, service=service, entries=entries), lambda: history_lines(entries))


class ExplainQuery(Parameters, frozen=True):
    """Of an explanation."""

    at: Annotated[datetime | None, Meta(description="The moment; without it the last pass.")] = None


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}/services/{service}/explain",
        role=AppRole.READ,
        gives=Explanation,
        query=ExplainQuery,
        also=TEXT,
        refuses=(404,),
    )
)
async def explain(call: Call[ExplainQuery]) -> func.HttpResponse:
    """Why a service is as it is, or was at a moment: evidence, guards, and what was done."""
    at = _utc("at", call.query.at)
    found = await wiring.use_cases().explain(call.named("topology"), call.named("service"), at)
    return shown(call.request, found, lambda: explanation_lines(found, wiring.clock().now()))


@blueprint.serves(
    Endpoint("GET", route="topologies/{topology}/plan", role=AppRole.READ, gives=Plan, query=Parameters, refuses=(404,))
)
async def plan(call: Call[Parameters]) -> func.HttpResponse:
    """What a slow pass would do first, and why; changes nothing."""
    return answer(await wiring.use_cases().plan(call.named("topology")))


class VerifyQuery(Parameters, frozen=True):
    """Of a verification."""

    fresh: Annotated[bool, Meta(description="Takes no answer that is there already.")] = False


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}/verify",
        role=AppRole.READ,
        gives=Evidence,
        query=VerifyQuery,
        also=TEXT,
        refuses=(404,),
    )
)
async def verify(call: Call[VerifyQuery]) -> func.HttpResponse:
    """Routes, hubs and network flags against what the topology implies. It may take minutes."""
    found = await wiring.use_cases().verify(call.named("topology"), call.query.fresh, WITHIN)
    return shown(call.request, found, lambda: table(found, found.taken))


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}/lint",
        role=AppRole.READ,
        gives=Preflight,
        query=Parameters,
        also=TEXT,
        refuses=(404,),
    )
)
async def lint(call: Call[Parameters]) -> func.HttpResponse:
    """What would keep a topology from working: in its document, in Azure, on the agents."""
    use_cases = wiring.use_cases()
    in_force = await use_cases.topologies.in_force(call.named("topology"))
    report = preflight_document(await use_cases.lint(in_force.topology))
    return shown(call.request, report, lambda: report_lines(report))


@blueprint.serves(
    Endpoint(
        "POST",
        route="topologies/{topology}/diff",
        role=AppRole.READ,
        gives=None,
        query=Parameters,
        takes=YAML,
        media=TEXT,
        refuses=(404,),
    )
)
async def diff(call: Call[Parameters]) -> func.HttpResponse:
    """What a document would change in the one in force: a unified diff, empty where nothing."""
    lines = await wiring.use_cases().difference(call.named("topology"), text_body(call.request, DOCUMENT_MAX))
    return func.HttpResponse("".join(f"{line}\n" for line in lines), mimetype=TEXT)


@blueprint.serves(Endpoint("POST", route="plan", role=AppRole.READ, gives=Plan, query=Parameters, takes=YAML))
async def plan_document(call: Call[Parameters]) -> func.HttpResponse:
    """What a slow pass would do first with a document that is not in force; `problems` say why it could not be."""
    return answer(await wiring.use_cases().plan_of(text_body(call.request, DOCUMENT_MAX)))


class LintQuery(Parameters, frozen=True):
    """Of a report on a document."""

    azure: Annotated[bool, Meta(description="Azure and the agents are read too.")] = True


@blueprint.serves(
    Endpoint("POST", route="lint", role=AppRole.READ, gives=Preflight, query=LintQuery, takes=YAML, also=TEXT)
)
async def lint_document(call: Call[LintQuery]) -> func.HttpResponse:
    """What would keep a document from working, in force or not; one that cannot be used has a report too."""
    text = text_body(call.request, DOCUMENT_MAX)
    report = preflight_document(await wiring.use_cases().lint_of(text, call.query.azure))
    return shown(call.request, report, lambda: report_lines(report))


class EventsQuery(Parameters, frozen=True):
    """Of a wait."""

    after: Annotated[str, Meta(description="The mark of an earlier answer; without it there is no wait.")] = ""
    wait: Annotated[int, Meta(ge=0, le=25, description="At most so many seconds.")] = 25


@blueprint.serves(
    Endpoint(
        "GET",
        route="topologies/{topology}/events",
        role=AppRole.READ,
        gives=Events,
        query=EventsQuery,
        refuses=(404,),
    )
)
async def events(call: Call[EventsQuery]) -> func.HttpResponse:
    """Waits until the document, the status or a history of a topology changes."""
    wait = timedelta(seconds=call.query.wait)
    return answer(await wiring.use_cases().changed_since(call.named("topology"), call.query.after, wait))


def _utc(name: str, at: datetime | None) -> datetime | None:
    """Raises BadInput for a time without an offset, and for one at the end of time."""
    if at is None:
        return None
    try:
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except OverflowError as error:
        raise BadInput.of(f"?{name}", f"is {at}, which is at the end of time") from error
    raise BadInput.of(f"?{name}", f"must say its offset from UTC, as 2026-01-02T03:04:05Z, is {at}")
