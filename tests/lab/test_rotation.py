"""Every key of a deployment is exchanged as docs/operating.md, "Rotate keys", has it, in the whole stack and under traffic: one
member serves all the while, failovers work in the middle and after it, and a key that was taken back opens nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from lab import keys
from lab.acts import Stage, data_path_dies
from lab.stack import NVAS, SERVICE, TIMING, TOPOLOGY, Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
LONGEST_GAP = 2.0
"""Seconds without a packet where no member has failed."""
SWEEPS = 12.0
"""Seconds in which this stack's sweep comes twice."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with Stack.make() as stack:
        stack.timing = TIMING | {"spacingMax": TIMING["spacingStep"]}  # a dozen failovers in a row are meant here
        await stack.up()
        async with Stage.over(stack).watched() as made:
            yield made
        assert made.watch.both == []


def other(name: str) -> str:
    return next(each for each in NVAS if each != name)


async def fails_over(stage: Stage) -> None:
    """The holder's data path dies: its agent's report wakes the app, and its acknowledgement proves the fence."""
    holder, before = await stage.at_rest(), len(stage.stack.history())
    act = await data_path_dies(stage)
    assert (act.two_serving_moments, await stage.at_rest()) == (0, other(holder))
    acted = [entry["trigger"] for entry in stage.stack.history()[before:] if entry["steps"]]
    assert any(trigger.startswith("report of ") for trigger in acted), acted


def without_packets(stage: Stage, since: float) -> float:
    """The longest time between two replies."""
    at = [since, *(reply.at for reply in stage.traffic.replies if reply.at > since), time.time()]
    return max(later - earlier for earlier, later in pairwise(at))


async def order(stage: Stage, verb: str, **said: str) -> None:
    path = f"/topologies/{TOPOLOGY}/services/{SERVICE}/{verb}"
    code, answer = await stage.stack.ask_app("POST", path, {"by": "ann", **said})
    assert code < 300, answer


async def reached(stage: Stage, member: str, is_reached: bool) -> None:
    """The last look got an answer of the agent, or none."""
    await stage.until(
        f"{member} {'answers' if is_reached else 'is not believed'}",
        lambda status: status["lastLook"]["members"][member]["reachable"] is is_reached,
    )


async def stays(stage: Stage, holder: str) -> None:
    """Nothing moves, and packets flow, for two sweeps."""
    since = time.time()
    while time.time() < since + SWEEPS:
        (service,) = (await stage.stack.status())["services"]
        assert (service["holder"], service["mayServe"]) == (holder, [holder])
        await asyncio.sleep(0.5)
    assert without_packets(stage, since) < LONGEST_GAP


# --- function keys: `az functionapp function keys set` and `delete`


async def administered(stage: Stage, method: str, path: str, value: str | None = None) -> None:
    """As the platform's tools do it, with the master key."""
    assert stage.stack.session is not None
    headers = {"x-functions-key": stage.stack.keys["master"], "Content-Type": "application/json"}
    body = None if value is None else json.dumps({"value": value})
    url = f"{stage.stack.host_url}/admin/{path}"
    async with stage.stack.session.request(method, url, headers=headers, data=body) as response:
        assert response.status in (200, 201, 204)


async def opens(stage: Stage, path: str, key: str) -> bool:
    assert stage.stack.session is not None
    headers = {"x-functions-key": key, "aeg-event-type": "Notification", "Content-Type": "application/json"}
    async with stage.stack.session.post(stage.stack.host_url + path, headers=headers, data="[]") as response:
        return response.status not in (401, 403)


async def test_the_reports_key_is_exchanged_with_both_good_in_between(stage: Stage) -> None:
    file = stage.stack.directory / "report.key"
    since, old = time.time(), file.read_text()
    await administered(stage, "PUT", "functions/on_report/keys/next", "another-key")
    assert without_packets(stage, since) < LONGEST_GAP
    await fails_over(stage)
    file.write_text("another-key")
    await fails_over(stage)
    await administered(stage, "PUT", "functions/on_report/keys/default", "another-key")
    await administered(stage, "DELETE", "functions/on_report/keys/next")
    await fails_over(stage)
    assert not await opens(stage, "/api/reports", old)


@pytest.mark.parametrize(
    ("kept", "called"),
    [
        ("functions/on_alert/keys/default", "/api/alerts"),
        ("host/systemkeys/eventgrid_extension", "/runtime/webhooks/EventGrid?functionName=on_resource_event"),
    ],
)
async def test_an_alert_or_an_event_with_the_old_key_is_refused_and_no_failover_needs_one(
    stage: Stage, kept: str, called: str
) -> None:
    old = keys.of_function(stage.stack.keys, "on_alert") if "alert" in kept else stage.stack.keys["system"][kept[16:]]
    assert await opens(stage, called, old)
    await administered(stage, "PUT", kept, "another-key")
    assert (await opens(stage, called, old), await opens(stage, called, "another-key")) == (False, True)
    await fails_over(stage)


# --- the app's signing key


async def restart_the_app(stage: Stage) -> None:
    port = int(stage.stack.host_url.rsplit(":", 1)[1])
    await asyncio.to_thread(stage.stack.programs.kill, "host")
    await stage.stack.start_host(port=port)


async def test_the_apps_key_is_exchanged_with_both_in_the_ring_in_between(stage: Stage) -> None:
    ring, private = stage.stack.directory / "app-keys.pem", stage.stack.directory / "app.key"
    old, (new, public) = private.read_bytes(), keys.signing_pair()
    since, holder = time.time(), await stage.at_rest()
    ring.write_bytes(ring.read_bytes() + public)
    private.write_bytes(new)
    await restart_the_app(stage)
    assert await stage.at_rest() == holder
    assert without_packets(stage, since) < LONGEST_GAP
    await fails_over(stage)
    for member in (holder, other(holder)):
        await order(stage, "switchover", to=member)
        assert await stage.at_rest() == member
    ring.write_bytes(public)
    await fails_over(stage)
    await a_restored_key_of_the_apps_moves_nothing(stage, private, old)
    private.write_bytes(new)
    await restart_the_app(stage)
    await reached(stage, holder, True)


async def a_restored_key_of_the_apps_moves_nothing(stage: Stage, private: Path, old: bytes) -> None:
    holder = await stage.at_rest()
    private.write_bytes(old)
    await restart_the_app(stage)
    for member in NVAS:
        await reached(stage, member, False)
    await stays(stage, holder)


# --- an agent's key, and its certificate


async def restarted_while_drained(stage: Stage, member: str, enrolled: Path | None = None) -> None:
    """With another key or certificate, where a directory for it is given. Its peers have the old one until they are restarted."""
    drained, peer = time.time(), other(member)
    await order(stage, "drain", member=member)
    await stage.until(f"{peer} gets packets", lambda _: stage.traffic.first_from(peer, drained) is not None)
    since = time.time()
    if enrolled is not None:
        await asyncio.to_thread(stage.stack.enroll, member, enrolled)
        await asyncio.to_thread(stage.stack.apply)
    await stage.stack.restart_agent(member)
    await reached(stage, member, True)
    await order(stage, "undrain", member=member)
    assert await stage.at_rest() == peer
    assert without_packets(stage, since) < LONGEST_GAP


async def test_an_agents_key_is_exchanged_and_failovers_work_before_its_peers_know(stage: Stage) -> None:
    member = await stage.at_rest()
    before = stage.stack.enrolled[member]
    await restarted_while_drained(stage, member, stage.stack.directory / f"{member}-2")
    await fails_over(stage)
    await restarted_while_drained(stage, other(member))
    await fails_over(stage)
    await what_was_taken_back_is_not_believed(stage, member, before)


async def test_an_agents_certificate_is_exchanged_over_its_key_without_its_peers(stage: Stage) -> None:
    member = other(await stage.at_rest())
    before, after = stage.stack.enrolled[member], stage.stack.directory / f"{member}-3"
    after.mkdir(mode=0o700)
    (after / "agent.key").write_bytes((before / "agent.key").read_bytes())
    await restarted_while_drained(stage, member, after)
    await fails_over(stage)
    await fails_over(stage)  # what was taken back is tried with a standby
    await what_was_taken_back_is_not_believed(stage, member, before)


async def what_was_taken_back_is_not_believed(stage: Stage, member: str, before: Path) -> None:
    """The standby comes back with it: it is no standby, and nothing moves."""
    assert await stage.at_rest() == other(member)
    after, stage.stack.enrolled[member] = stage.stack.enrolled[member], before
    await stage.stack.restart_agent(member)
    await reached(stage, member, False)
    await stays(stage, other(member))
    stage.stack.enrolled[member] = after
    await stage.stack.restart_agent(member)
    await reached(stage, member, True)
    assert await stage.at_rest() == other(member)
