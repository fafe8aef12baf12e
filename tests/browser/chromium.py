"""A headless Chromium, Debian's, and what its tests look for. Skips where there is none: `make tools` installs it."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = ROOT / "build" / "browser"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 1000}
SERIOUS = ("serious", "critical")
WITHIN = 30_000.0
"""Milliseconds that anything on a page may take: other tests run beside these."""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        await browser.close()


@dataclass
class Window:
    """One page of a browser, and everything that it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, browser: Browser, size: Any = None, **options: Any) -> AsyncIterator["Window"]:
        context = await browser.new_context(viewport=size or DESK, **options)
        context.set_default_timeout(WITHIN)
        window = cls(await context.new_page())
        window.page.on("console", lambda said: window._note(said.type, said.text))
        window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
        yield window
        await context.close()

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    async def enter(self, url: str, key: str) -> None:
        """Opens the page, types the key in, and waits for the status."""
        await self.page.goto(f"{url}/api/")
        await self.page.fill("#key", key)
        await self.page.click("#key-form button")
        await self.page.wait_for_selector("svg.topology")

    async def text(self, selector: str) -> str:
        return await self.page.inner_text(selector)

    async def shows(self, selector: str, *words: str) -> None:
        """Waits until every one of the words stands in the element."""
        await self.page.wait_for_function(
            "([selector, words]) => { const it = document.querySelector(selector);"
            " return it && words.every((word) => it.textContent.includes(word)); }",
            arg=[selector, list(words)],
        )

    async def serious_findings(self) -> list[str]:
        """Of axe-core. Skips where that is not installed."""
        if not AXE.exists():
            pytest.skip("no axe-core: npm installs it (make browser)")
        await self.page.evaluate(AXE.read_text())
        found = (await self.page.evaluate("axe.run()"))["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes']]}"
            for each in found
            if each["impact"] in SERIOUS
        ]

    async def picture(self, name: str) -> None:
        """The whole page as `build/browser/NAME.png`."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    async def top(self, name: str, width: int, height: int) -> None:
        """What is seen first at this size, as `build/browser/NAME.png`."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.evaluate("scrollTo(0, 0)")
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def is_wider_than_its_window(self) -> bool:
        return bool(await self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
