"""The page of the simulator's world: what it shows, and that nothing of the world is taken for a part of it."""

import re
from html.parser import HTMLParser
from typing import Any

import aiohttp

from lab.kit.credential import authorization
from simulator.seeds import HubSeed, example
from simulator.server import Simulator, SimulatorConfig

WANTED = HubSeed(backends=())
HOSTILE = "<script>alert('x')</script>"


class Tables(HTMLParser):
    """The rows of every table, by its caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.tags: set[str] = set()
        self._at = ""
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._at = tag
        if tag == "tr" and self._caption:
            self.rows[self._caption].append([])
        if tag == "td":
            self.rows[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._at = ""

    def handle_data(self, data: str) -> None:
        if self._at == "caption":
            self._caption = data
            self.rows[data] = []
        if self._at == "td":
            self.rows[self._caption][-1][-1] += data


def served(seed: dict[str, Any] | None = None) -> Simulator:
    return Simulator(SimulatorConfig(seed or example(), tls=False))


async def page(sim: Simulator, path: str = "/simulator/") -> tuple[str, Tables]:
    async with aiohttp.ClientSession(sim.url) as session, session.get(path) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        text = await response.text()
    return text, Tables(text)


PEERING = f"{WANTED.network_scope}/virtualHubs/rs-hub/bgpConnections/nva-b"


async def busy() -> dict[str, list[list[str]]]:
    """What the page shows of a world in which a peering is being made, a probe failed and a fault is in force."""
    async with served() as sim, aiohttp.ClientSession(sim.url, headers=authorization()) as session:
        body = {"properties": {"peerIp": "10.0.1.5", "peerAsn": 65001}}
        await session.put(f"{PEERING}?api-version=2025-05-01", json=body)
        results = {"results": {"10.0.1.4": {"up": True}, "10.0.1.5": {"up": False}}}
        await session.put("/simulator/dataplane/loadBalancers/lb-nva/probes", json=results)
        await session.post("/simulator/faults", json={"propagation": 9})
        _, found = await page(sim)
    return {caption: [row for row in own if row] for caption, own in found.rows.items()}


async def test_the_page_shows_route_servers_with_peerings_sessions_and_routes() -> None:
    rows = await busy()
    assert rows["Peerings of rs-hub"] == [
        ["nva-a", "10.0.1.4", "65001", "Succeeded"],
        ["nva-b", "10.0.1.5", "65001", "Updating"],
    ]
    assert [row[:3] for row in rows["Sessions of rs-hub"]] == [
        ["10.0.0.4", "10.0.1.4", "established"],
        ["10.0.0.5", "10.0.1.4", "established"],
    ]
    assert ["10.0.0.5", "10.0.1.4", "0.0.0.0/0", "10.0.1.100", "65001"] in rows["Routes that rs-hub has learned"]


async def test_the_page_shows_load_balancers_with_members_and_health() -> None:
    rows = await busy()
    members = rows["Pools of lb-nva as the data plane has them"]
    assert ["nvas", "nva-b", "10.0.1.5", "None", "Down_Probe_TcpProbeTimeout"] in members
    assert ["all-ports", "10.0.1.4", "Up", "Up_Probe_Success"] in rows["Health of lb-nva"]


async def test_the_page_shows_resources_operations_faults_and_requests() -> None:
    rows = await busy()
    assert rows["Faults that differ from what is usual"] == [["propagation", "9.0", "2.0"]]
    assert [row[:2] for row in rows["Operations that ARM has accepted"]] == [["write", PEERING.lower()]]
    (resources,) = (own for caption, own in rows.items() if caption.endswith("/resourceGroups/rg-hub"))
    assert ["rs-hub/nva-b", "Microsoft.Network/virtualHubs/bgpConnections", "", "Updating"] in resources
    assert [row[1:3] for row in rows["The newest first, at most 50"]] == [
        [f"PUT {PEERING}?api-version=2025-05-01", "201"]
    ]


async def test_what_a_world_holds_is_no_part_of_the_page() -> None:
    seed = {
        "resources": [
            {"id": f"{WANTED.network_scope}/routeTables/{HOSTILE[:-9]}", "location": HOSTILE, "properties": {}}
        ]
    }
    async with served(seed) as sim:
        async with aiohttp.ClientSession(sim.url) as session:
            await session.get("/subscriptions/%3Cscript%3E?q=<script>")
        text, found = await page(sim)
    assert "script" not in found.tags
    assert "&lt;script&gt;" in text


async def test_the_page_needs_no_script_and_nothing_from_elsewhere() -> None:
    async with served() as sim:
        text, found = await page(sim)
    assert found.tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert re.findall(r"(?:src|url|action)\s*=|@import|url\(|https?://", text) == []


async def test_the_page_refreshes_itself_unless_it_shall_stand_still() -> None:
    async with served() as sim:
        assert 'http-equiv="refresh" content="5"' in (await page(sim))[0]
        assert "http-equiv" not in (await page(sim, "/simulator?refresh=0"))[0]


async def test_the_root_leads_to_the_page_which_is_no_request_of_the_world() -> None:
    async with served() as sim:
        await page(sim, "/")
        assert list(sim.requests) == []


async def test_a_world_without_anything_has_a_page() -> None:
    async with served({"resources": []}) as sim:
        text, _ = await page(sim)
    assert "None: everything is as usual." in text
