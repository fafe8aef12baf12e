"""What members announce, commanded through whole passes to agents that refuse a number they know."""

from ipaddress import IPv4Network
from typing import Any

from function_app.domain.topology.model import Topology
from tests.builders import document, topology
from tests.unit.reconcile.scene import Scene


def active_active(*prefixes: str) -> Topology:
    services: list[dict[str, Any]] = document()["services"]
    services[0] |= {"mode": "active-active", "prefixes": list(prefixes)}
    return topology(services=services)


def announced(scene: Scene) -> list[list[IPv4Network]]:
    return [sorted(a.prefix for a in agent.advertised or ()) for agent in scene.world.agents.values()]


async def test_prefixes_that_change_after_the_record_of_an_active_active_service_was_lost_are_announced() -> None:
    scene = Scene(desired=active_active("10.1.0.0/16"))
    await scene.settle()
    for last in ("10.2.0.0/16", "10.3.0.0/16"):
        scene.topology = active_active("10.1.0.0/16", last)
        await scene.settle()
    del scene.documents.stored["records/hub/fw.json"]
    scene.topology = active_active("10.4.0.0/16")
    await scene.settle()
    assert announced(scene) == [[IPv4Network("10.4.0.0/16")]] * 2
