"""The page over answers that are given here: what it shows of each document, and of each refusal."""

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser

from function_app.triggers import page as served
from tests.browser.chromium import DESK, PHONE, Window, chromium

alone = pytest.mark.asyncio(loop_scope="module")
EXAMPLES = Path(__file__).resolve().parents[2] / "contracts" / "documents" / "examples"
KEY = "k"
SERVICE = "/api/topologies/hub/services/fw"
HISTORY, EXPLAIN = f"{SERVICE}/history", f"{SERVICE}/explain"


def example(name: str) -> Any:
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def moved(document: Any, seconds: float) -> Any:
    """The document with every time in it later by so much, so that it was made just now."""
    if isinstance(document, dict):
        return {name: moved(part, seconds) for name, part in document.items()}
    if isinstance(document, list):
        return [moved(part, seconds) for part in document]
    try:
        at = datetime.fromisoformat(document).timestamp() if isinstance(document, str) and "T" in document else None
    except ValueError:
        at = None
    return document if at is None else datetime.fromtimestamp(at + seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class App:
    """What the API answers: documents by path, or (status, body)."""

    answers: dict[str, Any] = field(default_factory=dict)
    orders: list[tuple[str, Any]] = field(default_factory=list)
    ordered: tuple[int, Any] = (200, None)
    fails_with: int = 0
    waits: list[str] = field(default_factory=list)
    opens_events: bool = True
    lacks_role: str = ""
    """Of who signs in."""
    given: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def give(self, status: Any) -> None:
        """This status of the topology hub, made now, with a history of one failover."""
        self.given.set()
        late = datetime.now(UTC).timestamp() - datetime.fromisoformat(status["asOf"]).timestamp()
        status = moved(status, late)
        summary = {"topology": "hub", "usable": True, "problems": [], "services": ["fw"], "lastLookSeconds": 1}
        overview = {"topologies": [summary], "sweep": status["sweep"], "observing": False}
        entry = moved(example("history-entry-failover"), late)
        self.answers = {
            "/api/status": overview,
            "/api/status/hub": status,
            HISTORY: {"entries": [entry]},
            EXPLAIN: "fw: because nva-a does not answer",
        }

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/api/":
            document, policy = served.made()
            return web.Response(text=document, content_type="text/html", headers={"Content-Security-Policy": policy})
        if request.path == "/.auth/login/aad":
            response = web.Response(status=302, headers={"Location": request.query["post_login_redirect_uri"]})
            response.set_cookie("AppServiceAuthSession", KEY, httponly=True)
            return response
        if refused := self.refusal(request):
            return refused
        path = request.path.replace("/api/entra/", "/api/", 1)
        if self.fails_with:
            return web.json_response({"error": {"message": "storage does not answer"}}, status=self.fails_with)
        if request.method == "POST":
            self.orders.append((request.path, await request.json()))
            return web.json_response(self.ordered[1], status=self.ordered[0])
        if path.endswith("/events"):
            self.waits.append(request.query.get("after", ""))
            if not self.opens_events:
                return web.Response(status=401)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.given.wait(), 1)
            self.given.clear()
            return web.json_response({"topology": "hub", "mark": "m", "changed": True})
        found = self.answers.get(path)
        if isinstance(found, str):
            return web.Response(text=found)
        return web.json_response(found, status=404 if found is None else 200)

    def refusal(self, request: web.Request) -> web.Response | None:
        """A key opens what it did, and below entra/ the session of who has the role."""
        if not request.path.startswith("/api/entra/"):
            return None if request.headers.get("x-functions-key") == KEY else web.Response(status=401)
        if request.cookies.get("AppServiceAuthSession") != KEY or "x-functions-key" in request.headers:
            return web.json_response({"error": {"message": "neither a token nor a session"}}, status=401)
        if self.lacks_role:
            said = f"ana has not the role {self.lacks_role} of this app"
            return web.json_response({"error": {"message": said}}, status=403)
        return None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def app() -> AsyncIterator[App]:
    made = App()
    made.give(example("status-stable"))
    site = web.Application()
    site.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(site) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


def changed(name: str, change: Callable[[Any], None]) -> Any:
    status = copy.deepcopy(example(name))
    change(status)
    return status


@alone
async def test_the_member_that_serves_is_marked_in_words_and_in_the_drawing(browser: Browser, app: App) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.shows("article[data-service=fw] .who", "nva-a", "serves since", "epoch 1")
        assert await window.page.get_attribute("[data-speaker=nva-a]", "data-state") == "serves"
        assert await window.page.get_attribute("[data-speaker=nva-b]", "data-state") == "standby"
        assert "nva-a serves, nva-b stands by. 4 of 4 sessions" in await window.page.inner_html("#topology-said")
        assert window.complaints == []


@alone
async def test_what_is_held_is_shown_with_every_reason_and_a_fence_in_doubt(browser: Browser, app: App) -> None:
    app.give(held := example("status-failover-held"))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        article = await window.text("article[data-service=fw]")
        for reason in held["lastLook"]["services"]["fw"]["reasons"]:
            assert reason.removeprefix("fw: ") in article
        assert "NO member serves for certain; nva-b is to serve" in article
        assert "may still be serving" in article
        assert await window.page.get_attribute("#verdict", "data-verdict") == "trouble"
        assert "synchronise it" in await window.text("#preflight"), "a finding has its way out"


@alone
async def test_old_evidence_is_not_put_into_the_present_tense(browser: Browser, app: App) -> None:
    def stale(status: Any) -> None:
        status.update(verdict="stale", reasons=["not looked at for 300 s: the app does not run"])

    app.give(changed("status-stable", stale))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.shows("#verdict", "Nothing has looked since", "not looked at for 300 s")
        article = await window.text("article[data-service=fw]")
        assert "nva-a served by the record" in article
        assert "whether it does now is unknown" in article
        assert "serves since" not in article
        assert await window.page.locator("svg.topology .box.serving").count() == 0
        assert await window.page.locator("svg.topology .up-mark").count() == 0


@alone
async def test_an_app_that_stops_answering_is_named_at_once_and_what_is_shown_is_of_then(
    browser: Browser, app: App
) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        app.fails_with = 503
        await window.shows("#connection", "no answer", "storage does not answer")
        assert await window.page.get_attribute("#verdict", "data-verdict") == "stale"
        await window.shows("#verdict", "the app has not answered for")


@alone
async def test_a_history_that_was_cut_says_so_and_what_shows_the_rest(browser: Browser, app: App) -> None:
    entry = app.answers[HISTORY]["entries"][0]
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.shows("#timeline", "failover to nva-b")
        assert "--most" not in await window.text("#timeline")
        app.give(example("status-stable"))
        app.answers[HISTORY] = {"entries": [entry] * 100}
        await window.shows("#timeline", "Of fw the last 100 passes", "hopkeeper history hub fw --most 1000")


@alone
@pytest.mark.parametrize("opens_events", [True, False])
async def test_a_change_is_shown_by_itself_also_where_the_key_does_not_open_events(
    browser: Browser, app: App, opens_events: bool
) -> None:
    app.opens_events = opens_events
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        app.give(example("status-failover-held"))
        await window.shows("#verdict", "Trouble")
        app.give(example("status-stable"))
        await window.shows("#verdict", "Well")
        assert app.waits[:2] == (["", "m"] if opens_events else [""])


@alone
async def test_a_key_that_opens_nothing_is_said_and_forgotten(browser: Browser, app: App) -> None:
    async with Window.open(browser) as window:
        await window.page.goto(f"{app.url}/api/")
        await window.page.fill("#key", "wrong")
        await window.page.click("#key-form button")
        await window.shows("#entry-why", "does not open")
        assert await window.page.evaluate("sessionStorage.length") == 0
        assert await window.page.evaluate("localStorage.length") == 0


@alone
async def test_who_signs_in_needs_no_key_and_is_not_requested_by_name(browser: Browser, app: App) -> None:
    app.ordered = (200, {"outcome": "accepted", "reasons": []})
    async with Window.open(browser) as window:
        await window.page.goto(f"{app.url}/api/")
        await window.page.click("#sign-in")
        await window.shows("article[data-service=fw] .who", "nva-a", "serves since")
        await window.page.click("button[data-verb=pause]")
        assert await window.page.locator("#order-by, #order-key").count() == 0
        await window.page.click("#order-confirm")
        await window.shows("#order-answer", "accepted")
        path, body = app.orders[0]
        assert (path.endswith("/pause"), "by" in body) == (True, False)
        assert path.startswith("/api/entra/")
        assert window.complaints == []


@alone
async def test_who_signs_in_without_the_role_reads_which_one_is_missing_and_how_to_sign_out(
    browser: Browser, app: App
) -> None:
    app.lacks_role = "read"
    async with Window.open(browser) as window:
        await window.page.goto(f"{app.url}/api/")
        await window.page.click("#sign-in")
        await window.shows("#entry-why", "ana has not the role read of this app")
        assert await window.page.get_attribute("#entry a[href^='/.auth/logout']", "href")


@alone
async def test_an_operation_in_the_timeline_has_its_phases_and_leads_to_its_explanation(
    browser: Browser, app: App
) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.shows("#timeline [data-epoch='2']", "failover to nva-b at epoch 2", "proven → promoted")
        await window.page.click("#timeline [data-epoch='2'] a")
        await window.shows("#explanation", "because nva-a does not answer")
        assert window.complaints == []


@alone
async def test_an_order_is_confirmed_with_before_and_after_and_a_refusal_keeps_every_reason(
    browser: Browser, app: App
) -> None:
    causes = ["fw: nva-b is not ready: no session", "its agent says data-path: no echo"]
    app.ordered = (
        409,
        {"outcome": "refused", "reasons": causes, "error": {"message": "the order is refused", "causes": causes}},
    )
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.page.click("button[data-verb=switchover]")
        rows = await window.page.locator("#order tbody tr").all_inner_texts()
        assert [row.split("\t") for row in rows] == [["nva-a", "serves", "stands by"], ["nva-b", "stands by", "serves"]]
        assert app.orders == [], "nothing is ordered before it is confirmed"
        await window.page.fill("#order-by", "ana")
        await window.page.click("#order-confirm")
        await window.shows("#order-answer", "Refused", *causes)
        assert app.orders == [(f"{SERVICE}/switchover", {"by": "ana", "expect": "nva-a", "to": "nva-b"})]


@alone
async def test_before_an_order_it_is_said_that_no_other_member_could_take_over(browser: Browser, app: App) -> None:
    def alone_left(status: Any) -> None:
        status["lastLook"]["services"]["fw"]["spares"] = {"nva-b": "nva-b: its agent does not answer"}

    app.give(changed("status-stable", alone_left))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        moves = (
            ("switchover", "nva-b", "Keeps it from serving"),
            ("drain", "nva-a", "No other member could take over now"),
        )
        for verb, member, said in moves:
            await window.page.click(f"button[data-verb={verb}][data-member={member}]")
            await window.shows("#order", f"{said}: nva-b: its agent does not answer")
            await window.page.click("#order-close")


@alone
async def test_an_order_that_is_not_answered_is_not_called_refused(browser: Browser, app: App) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.page.click("button[data-verb=switchover]")
        await window.page.fill("#order-by", "ana")
        await window.page.route("**/switchover", lambda route: route.abort())
        await window.page.click("#order-confirm")
        await window.shows("#order-answer", "No answer", "whether the order arrived is not known")


@alone
async def test_an_order_is_not_given_on_what_has_changed_since(browser: Browser, app: App) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.page.click("button[data-verb=drain][data-member=nva-a]")
        app.give(example("status-failover-held"))
        await window.shows("#order-answer", "has changed since this was opened")
        assert await window.page.is_disabled("#order-confirm")


@alone
async def test_what_is_open_and_where_the_focus_is_outlives_a_new_status(browser: Browser, app: App) -> None:
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.page.click("#timeline details summary")
        await window.page.focus("button[data-verb=pause]")
        history = app.answers[HISTORY]
        app.give(example("status-failover-held"))
        app.answers[HISTORY] = history
        await window.shows("#verdict", "Trouble")
        assert await window.page.evaluate("document.activeElement.dataset.verb") == "pause"
        assert await window.page.evaluate("document.querySelector('#timeline details').open")


@alone
async def test_names_and_reasons_are_text_whatever_stands_in_them(browser: Browser, app: App) -> None:
    evil = "<img src=x onerror=alert(1)>"

    def injected(status: Any) -> None:
        status["reasons"] = [evil]
        status["services"][0]["operation"]["reason"] = evil

    app.give(changed("status-stable", injected))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        await window.shows("#verdict", evil)
        assert await window.page.locator("img").count() == 0
        assert window.complaints == []


def many(status: Any) -> None:
    """Ten NVAs behind two hubs, two of them members."""
    speakers = [(f"nva-{n}", f"10.0.3.{n}", "router", ["hub-a", "hub-b"]) for n in range(10)]
    hubs = [("hub-a", "10.0.1.4", "hub", ["rs"]), ("hub-b", "10.0.1.5", "hub", ["rs"])]
    status["speakers"] = [
        {"name": name, "address": address, "asn": 65001, "role": role, "peersWith": peers, "agent": True}
        for name, address, role, peers in hubs + speakers
    ]
    status["services"][0]["members"] = [
        {"name": "nva-0", "address": "10.0.3.0"},
        {"name": "nva-1", "address": "10.0.3.1"},
    ]
    status["services"][0]["holder"] = "nva-0"
    for name, _, _, _ in speakers:
        agent = copy.deepcopy(status["lastLook"]["members"]["nva-a"])
        status["lastLook"]["members"][name] = agent | {"sessions": {"10.0.1.4": True, "10.0.1.5": name != "nva-7"}}


DOCUMENTS = {
    "stable": lambda: example("status-stable"),
    "held": lambda: example("status-failover-held"),
    "hubs": lambda: changed("status-stable", many),
}


@alone
@pytest.mark.parametrize(
    ("name", "scheme"), [("stable", "light"), ("held", "light"), ("held", "dark"), ("hubs", "light")]
)
async def test_no_serious_finding_of_axe_and_nothing_beyond_the_window(
    browser: Browser, app: App, name: str, scheme: Any
) -> None:
    app.give(DOCUMENTS[name]())
    for size in (DESK, PHONE):
        async with Window.open(browser, size, color_scheme=scheme) as window:
            await window.enter(app.url, KEY)
            await window.shows("#timeline", "epoch 2")
            await window.picture(f"{name}-{scheme}-{size['width']}")
            assert await window.serious_findings() == []
            assert not await window.is_wider_than_its_window()
            assert window.complaints == []


def fenced_and_drained(status: Any) -> None:
    service, seen = status["services"][0], status["lastLook"]["services"]["fw"]
    service.update(holder="nva-b", fenced=["nva-a"], owed=["nva-a"], mayServe=["nva-b"])
    service["drained"] = {"nva-b": {"until": "2026-01-01T04:00:00Z", "by": "ana"}}
    seen["backends"]["nva-a"] = {"adminState": "Down", "reason": "Down_Admin"}


@alone
async def test_fences_and_drains_are_drawn_and_in_the_table(browser: Browser, app: App) -> None:
    app.give(changed("status-stable", fenced_and_drained))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        fence = window.page.locator("[data-speaker=nva-a] path.fence title")
        assert await fence.all_text_contents() == ["nva-a is fenced: adminState Down at lb"]
        row = window.page.locator("article[data-service=fw] tbody tr")
        assert "fenced at the load balancer" in await row.nth(0).inner_text()
        drained = await row.nth(1).inner_text()
        assert "until " in drained
        assert "by ana" in drained
        assert await window.page.is_visible("button[data-verb=undrain][data-member=nva-b]")


@alone
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_screen_reader_finds_landmarks_and_tables_with_their_headers(
    browser: Browser, app: App, size: Any
) -> None:
    async with Window.open(browser, size) as window:
        await window.enter(app.url, KEY)
        evidence = window.page.get_by_role("table", name="Evidence as of")
        headers = await evidence.get_by_role("columnheader").all_text_contents()
        assert headers == ["Member", "Role", "Its agent", "Load balancer", "Sessions", "Could take over"]
        assert await evidence.get_by_role("rowheader").count() == 2
        assert await evidence.get_by_role("cell").count() == 10
        for landmark in ("banner", "main", "navigation"):
            assert await window.page.get_by_role(landmark).count() == 1  # type: ignore[arg-type]
        assert await window.page.get_by_role("img", name="Topology hub. fw: nva-a serves").count() == 1


@alone
async def test_a_session_through_a_hub_that_is_down_is_drawn_by_colour_and_by_shape(browser: Browser, app: App) -> None:
    app.give(changed("status-stable", many))
    async with Window.open(browser) as window:
        await window.enter(app.url, KEY)
        marks = window.page.locator("[data-speaker=nva-7] path.down-mark title")
        assert await marks.all_text_contents() == ["session of nva-7 with hub-b 10.0.1.5: not Established"]
        assert await window.page.locator("[data-speaker=nva-7] circle.up-mark").count() == 1


@alone
async def test_without_scripts_the_page_says_how_the_status_is_had_as_text(browser: Browser, app: App) -> None:
    async with Window.open(browser, PHONE, java_script_enabled=False) as window:
        await window.page.goto(f"{app.url}/api/")
        said = await window.text("main")
        assert "curl -H 'x-functions-key: KEY' -H 'Accept: text/plain'" in said
        assert "hopkeeper status" in said
        assert not await window.page.is_visible("#entry")
        await window.picture("without-scripts-390")
