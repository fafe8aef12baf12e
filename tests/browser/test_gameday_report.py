"""The report of docs/gameday.md in a browser: complete by itself, readable in light and dark, and on a phone."""

from typing import Any

import msgspec
import pytest

from proving.gameday.document import GameDay
from tests.browser.chromium import DESK, PHONE, ROOT, Window, chromium

REPORT = ROOT / "docs" / "gameday" / "active-passive.html"
RECORDED = ROOT / "contracts" / "documents" / "examples" / "gameday-active-passive.json"


@pytest.mark.parametrize(("size", "colors"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light")])
async def test_the_report_is_read_by_everybody_and_asks_for_nothing(size: Any, colors: str) -> None:
    async with chromium() as browser, Window.open(browser, size, color_scheme=colors, offline=True) as window:
        await window.page.goto(REPORT.as_uri())
        assert await window.serious_findings() == []
        assert not await window.is_wider_than_its_window()
        await window.picture(f"gameday-{colors}-{size['width']}")
        assert [said for said in window.complaints if "axe" not in said] == []


async def test_every_fault_that_touches_a_flow_has_its_two_timelines_with_words() -> None:
    day = msgspec.json.decode(RECORDED.read_bytes(), type=GameDay)
    async with chromium() as browser, Window.open(browser, DESK, java_script_enabled=True) as window:
        await window.page.goto(REPORT.as_uri())
        drawn = window.page.locator("svg[role=img]")
        assert await drawn.count() == 2 * sum(len(each.flows) for each in day.played)
        labels = [await drawn.nth(n).get_attribute("aria-label") for n in range(await drawn.count())]
        assert all(label and "Hopkeeper" in label and "from 0 s" in label for label in labels)
        for each in day.played:
            await window.page.click(f"td a[href='#f0-{each.fault}']")
            assert await window.page.locator(f"[id='f0-{each.fault}']").count() == 1
