"""The page over the whole stack, as an operator has it open while something fails. `make browser` runs it.

The tests are one night: each goes on from what the one before left.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from lab import keys
from lab.acts import Stage
from lab.stack import SERVICE, Stack
from lab.traffic import ProbeWatch, Traffic
from tests.browser.chromium import DESK, PHONE, Window, chromium

night = pytest.mark.asyncio(loop_scope="module")
SWEEP = 5
ARTICLE = f"article[data-service={SERVICE}]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with Stack.make() as stack:
        stack.timing = {**stack.timing, "sweep": f"PT{SWEEP}S"}
        await stack.up()
        made = Stage(stack, Traffic(), ProbeWatch({}), lambda _: None)
        await made.at_rest()
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(browser: Browser, stage: Stage) -> AsyncIterator[Window]:
    """Opened once, before anything fails; never reloaded."""
    async with Window.open(browser) as opened:
        await opened.enter(stage.stack.host_url, keys.of_role(stage.stack.keys, keys.OPERATE))
        await opened.page.evaluate("window.neverReloaded = true")
        yield opened


async def order(window: Window, button: str) -> None:
    """Presses it and confirms; what the answer is stays open."""
    await window.page.click(f"{ARTICLE} button{button}")
    await window.page.fill("#order-by", "ana")
    await window.page.click("#order-confirm")
    await window.page.wait_for_selector("#order-answer > *")


async def close(window: Window) -> None:
    await window.page.click("#order-close")


@night
async def test_the_holder_changes_without_a_reload_and_leads_to_why(stage: Stage, window: Window) -> None:
    holder = await stage.at_rest()
    stage.stack.kill_data_path(holder)
    await window.page.wait_for_selector(f"{ARTICLE}:not([data-holder={holder}]):not([data-holder=''])")
    await window.shows("#announced", "serves")
    assert await window.page.evaluate("window.neverReloaded")
    await window.shows("#timeline li[data-epoch='2']", "failover", "proven → promoted")
    await window.shows("#verdict", "no spare")
    await window.top("page", 900, 610)
    await window.page.click("#timeline li[data-epoch='2'] a")
    await window.shows("#explanation", "data-path: no echo")
    assert window.complaints == []


@night
async def test_an_order_to_a_member_that_failed_is_refused_with_its_reason(stage: Stage, window: Window) -> None:
    await window.shows("#verdict", "no spare")
    await order(window, "[data-verb=switchover]")
    await window.shows("#order-answer", "Refused", "data-path")
    await close(window)
    (refused,) = window.complaints
    assert "409" in refused, "the browser itself notes that the app refused"
    window.complaints.clear()


@night
async def test_pause_and_resume(stage: Stage, window: Window) -> None:
    await order(window, "[data-verb=pause]")
    await window.shows("#order-answer", "accepted")
    await close(window)
    await window.shows(ARTICLE, "paused", "by ana", "Resume")
    assert (await stage.stack.status())["services"][0]["paused"]["by"] == "ana"
    await order(window, "[data-verb=resume]")
    await close(window)
    await window.page.wait_for_selector(f"{ARTICLE} button[data-verb=pause]")
    assert (await stage.stack.status())["services"][0]["paused"] is None
    assert window.complaints == []


@night
async def test_no_serious_finding_and_pictures_of_both_sizes(stage: Stage, window: Window, browser: Browser) -> None:
    for member in ("nva-a", "nva-b"):
        stage.stack.programs.kill(f"{member}/data")
        stage.stack.start_data_path(member)
    await stage.at_rest()
    await window.shows("#verdict", "Well")
    assert await window.serious_findings() == []
    for size in (DESK, PHONE):
        await window.page.set_viewport_size(size)  # type: ignore[arg-type]
        await window.page.wait_for_function("document.querySelector('svg.topology').clientWidth <= innerWidth")
        await window.picture(f"live-{size['width']}")
        assert not await window.is_wider_than_its_window()
    await window.page.set_viewport_size(DESK)  # type: ignore[arg-type]
    assert window.complaints == []


@night
async def test_a_key_that_only_reads_is_refused_an_order_and_the_reader_stays(stage: Stage, browser: Browser) -> None:
    async with Window.open(browser) as reader:
        await reader.enter(stage.stack.host_url, keys.of_role(stage.stack.keys, keys.READ))
        await reader.shows("#timeline", "failover")
        await order(reader, "[data-verb=pause]")
        await reader.shows("#order-answer", "Refused", "does not open this function")
        assert await reader.page.locator("svg.topology").count() == 1


@night
async def test_without_scripts_the_page_is_readable(stage: Stage, browser: Browser) -> None:
    async with Window.open(browser, java_script_enabled=False) as plain:
        await plain.page.goto(f"{stage.stack.host_url}/api/")
        assert "curl -H 'x-functions-key: KEY'" in await plain.text("main")
        await plain.page.set_extra_http_headers({"x-functions-key": keys.of_role(stage.stack.keys, keys.READ)})
        await plain.page.goto(f"{stage.stack.host_url}/api/status/hub-lab")
        assert f"{SERVICE} (active-passive): " in await plain.text("body")


@night
async def test_an_app_that_looks_no_more_is_named_and_evidence_is_of_then(stage: Stage, window: Window) -> None:
    """It answers, but its timer and its queue are off: the status becomes stale after a sweep and what a look may take."""
    port = int(stage.stack.host_url.rsplit(":", 1)[1])
    stage.stack.programs.kill("host")
    await window.shows("#connection", "no answer")
    stage.stack.settings = {f"AzureWebJobs.{name}.Disabled": "true" for name in ("sweep", "on_wakeup", "on_report")}
    await stage.stack.start_host(port=port)
    await window.shows("#connection", "live")
    async with asyncio.timeout(60):
        await window.page.wait_for_selector("#verdict[data-verdict=stale]", timeout=60_000)
    await window.shows("#verdict", "Nothing has looked since", "the app does not run")
    assert "whether it does now is unknown" in await window.text(ARTICLE)
    await window.picture("live-stale-1440")
    assert await window.page.evaluate("window.neverReloaded")
