"""The page of `GET /api/` as the app serves it. What it does in a browser: tests/browser.

That the platform's host serves it is not recorded. What there is: the genuine host answers `/api` and `/api/` with 404 where
no function takes them, so that they reach the functions' routes and not its home page; it takes `/api/status` to
`status/{topology?}` without the parameter; `{*path}` matches the empty rest (all three in host 4.1037.0). The template is
the one that Azure-Functions issue 2473 gives for an empty route, and that public apps in Python have.
"""

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from function_app.triggers import page
from lab import keys
from lab.stack import TOPOLOGY, Stack
from tests.entrypoint.alone import app_alone

in_stack = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes."""
    async with app_alone() as made:
        yield made


async def got(stack: Stack, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, str]:
    assert stack.session is not None
    async with stack.session.request(method, f"{stack.host_url}{path}", headers=headers) as response:
        return response, await response.text()


@in_stack
@pytest.mark.parametrize("path", ["/api", "/api/", "/API/"])
async def test_the_page_is_served_to_anybody(stack: Stack, path: str) -> None:
    response, text = await got(stack, path)
    assert (response.status, response.content_type) == (200, "text/html")
    assert text == page.made()[0]
    assert response.headers["Content-Security-Policy"] == page.made()[1]


@in_stack
@pytest.mark.parametrize(("path", "method"), [("/api/x", "GET"), ("/api//", "GET"), ("/", "POST"), ("/api/", "POST")])
async def test_the_page_takes_no_path_and_no_method_of_another(stack: Stack, path: str, method: str) -> None:
    response, text = await got(stack, path, method)
    assert text != page.made()[0]
    assert response.status in (200, 404)


@in_stack
async def test_the_page_takes_no_parameters(stack: Stack) -> None:
    response, text = await got(stack, "/api/?topology=x")
    assert response.status == 400
    assert "is none of any" in text


@in_stack
async def test_the_page_holds_nothing_of_what_the_app_knows(stack: Stack) -> None:
    _, text = await got(stack, "/api/")
    names = [TOPOLOGY, "egress-firewall", "rs-hub", *(speaker["address"] for speaker in stack.topology()["speakers"])]
    assert [name for name in names if name in text] == []


@in_stack
async def test_a_browser_without_scripts_reads_the_status_as_text(stack: Stack) -> None:
    key = keys.of_function(stack.keys, "status")
    accepts = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    response, text = await got(stack, f"/api/status/{TOPOLOGY}", Accept=accepts, **{"x-functions-key": key})
    assert (response.status, response.content_type) == (200, "text/plain")
    assert text.startswith(f"{TOPOLOGY}: ")


def test_the_policy_names_the_one_style_and_the_one_script_and_lets_nothing_else_run() -> None:
    document, policy = page.made()
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{hashed}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_fetches_nothing_from_elsewhere_and_has_no_code_in_attributes() -> None:
    document, _ = page.made()
    addresses = set(re.findall(r"https?://[^\s'\"`]+", document))
    assert addresses == {"http://www.w3.org/2000/svg", "https://THIS-APP/api/status/TOPOLOGY</pre></li>"}
    assert re.findall(r"<[^>]*\son\w+=", document) == []
    assert re.findall(r"<[^>]*\sstyle=", document) == []


def test_every_script_of_the_folder_is_in_the_page_and_none_makes_markup_of_text() -> None:
    assert sorted(page.SCRIPTS) == sorted(path.name for path in page.FOLDER.glob("*.js"))
    document, _ = page.made()
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", document) == []
    assert "localStorage" not in document
