"""Load balancers that the simulator does not have: pools of network interfaces, other rules and pools, lazy etags."""

import json
import time
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from function_app.adapters.load_balancer import LoadBalancersOverArm
from function_app.domain.errors import Superseded, Unavailable
from function_app.domain.observation import AdminState, Backend
from tests.contract.adapters_azure import POLL, SPEAKERS, WANTED, fake_arm, refusal, service, write

LB = WANTED.load_balancer_id
NIC = f"{WANTED.network_scope}/networkInterfaces/nva-a-nic/ipConfigurations/ipconfig1"


def entry(name: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "id": f"{LB}/x/{name}", "properties": facts}


def rule(name: str, pool: str = "nvas", probe: str | None = "agent") -> dict[str, Any]:
    probed = {"probe": {"id": f"{LB}/probes/{probe}"}} if probe else {}
    return entry(name, backendAddressPool={"id": f"{LB}/backendAddressPools/{pool}"}, protocol="All", **probed)


class LazyArm:
    """One load balancer whose writes succeed and propagate at once; `health` is what its health action answers."""

    def __init__(self, *addresses: dict[str, Any]) -> None:
        self.version = 1
        self.keeps_etag_of_noops = False
        self.ignores_tags = False
        self.tags: dict[str, str] = {"owner": "net"}
        self.addresses = list(addresses) or [entry("one", ipAddress="10.0.1.4"), entry("two", ipAddress="10.0.1.5")]
        self.rules = [rule("all-ports")]
        self.other_pools: list[dict[str, Any]] = []
        self.health: list[dict[str, Any]] = []
        self.health_refused: list[web.Response] = []
        self.puts: list[dict[str, Any]] = []
        self.matches: list[tuple[str, str | None]] = []

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'

    @property
    def pool(self) -> dict[str, Any]:
        return {**entry("nvas", loadBalancerBackendAddresses=self.addresses, soon={"new": 1}), "etag": self.etag}

    @property
    def document(self) -> dict[str, Any]:
        facts = {
            "frontendIPConfigurations": [entry("fe", privateIPAddress="10.0.1.100")],
            "backendAddressPools": [self.pool, *self.other_pools],
            "loadBalancingRules": self.rules,
        }
        return {"name": "lb-nva", "id": LB, "etag": self.etag, "tags": self.tags, "properties": facts}

    async def answer(self, request: web.Request) -> web.Response:
        match = request.headers.get("If-Match")
        if request.method in ("PUT", "PATCH"):
            self.matches.append((request.method, match))
            if match != self.etag:
                return refusal(412, "PreconditionFailed")
        if request.method == "PUT":
            return self._put(await request.json())
        if request.method == "PATCH":
            self.tags = (await request.json())["tags"]
            self.version += not self.ignores_tags
            return web.json_response(self.document)
        if request.method == "POST":
            refused = self.health_refused.pop() if self.health_refused else None
            return refused or web.json_response({"loadBalancerBackendAddresses": self.health})
        return web.json_response(self.pool if request.path.casefold().endswith("/nvas") else self.document)

    def _put(self, body: dict[str, Any]) -> web.Response:
        self.puts.append(body)
        before = json.dumps(self.addresses, sort_keys=True)
        states = {
            a["name"]: a["properties"].get("adminState") for a in body["properties"]["loadBalancerBackendAddresses"]
        }
        for address in self.addresses:
            if states[address["name"]] is not None:
                address["properties"]["adminState"] = states[address["name"]]
        same = json.dumps(self.addresses, sort_keys=True) == before
        self.version += not (same and self.keeps_etag_of_noops)
        return web.json_response(self.pool)


def hidden(name: str, interface: str, **facts: Any) -> dict[str, Any]:
    """An address of a pool of network interfaces: no IP."""
    return entry(name, networkInterfaceIPConfiguration={"id": interface}, **facts)


def row(ip: str, reason: str, interface: str | None = None) -> dict[str, Any]:
    return {"ipAddress": ip, "state": reason.split("_")[0], "reason": reason} | (
        {"networkInterfaceIPConfigurationId": interface} if interface else {}
    )


async def test_the_pool_is_written_as_read_with_one_state_changed(tmp_path: Path) -> None:
    """Also what this version of the SDK has no name for; only what ARM alone may write stays away."""
    arm = LazyArm()
    arm.addresses[0]["properties"]["inVogue"] = True
    arm.health = [row("10.0.1.4", "Down_Admin")]
    expected = deepcopy(arm.pool["properties"]["loadBalancerBackendAddresses"])
    async with fake_arm(arm.answer, tmp_path) as azure:
        await LoadBalancersOverArm(azure, POLL).fence(write())
    [put] = arm.puts
    expected[0]["properties"]["adminState"] = "Down"
    assert put["properties"] == {"loadBalancerBackendAddresses": expected, "soon": {"new": 1}}
    assert arm.matches == [("PUT", 'W/"1"')]


async def test_a_write_that_keeps_the_etag_is_done_again_after_a_tag_was_bumped(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.addresses[0]["properties"]["adminState"] = "Down"
    arm.keeps_etag_of_noops = True
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        proof = await LoadBalancersOverArm(azure, POLL).fence(write(epoch=7))
    assert arm.matches == [("PUT", 'W/"1"'), ("PATCH", 'W/"1"'), ("PUT", 'W/"2"')]
    assert [p["properties"]["loadBalancerBackendAddresses"][0]["properties"]["adminState"] for p in arm.puts] == [
        "Down",
        "Down",
    ]
    assert proof.etag == 'W/"2"'
    assert arm.tags == {"owner": "net", "hopkeeper-fence": '7 W/"1"'}


async def test_an_etag_that_never_changes_is_no_proof(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.addresses[0]["properties"]["adminState"] = "Down"
    arm.keeps_etag_of_noops = arm.ignores_tags = True
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="the etag did not change with the write of Down"):
            await LoadBalancersOverArm(azure, POLL).fence(write())
    assert len(arm.puts) == 2


async def test_the_record_is_read_again_before_the_second_write_too(tmp_path: Path) -> None:
    answers = [False, True]

    async def recheck() -> bool:
        return answers.pop()

    arm = LazyArm()
    arm.addresses[0]["properties"]["adminState"] = "Down"
    arm.keeps_etag_of_noops = True
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Superseded, match="the record moved on"):
            await LoadBalancersOverArm(azure, POLL).fence(write(recheck=recheck))
    assert len(arm.puts) == 1


async def test_a_pool_of_interfaces_is_matched_by_the_nic_that_has_the_ip(tmp_path: Path) -> None:
    arm = LazyArm(hidden("two", NIC.replace("nva-a", "nva-b")), hidden("one", NIC, adminState="Down"))
    arm.health = [row("10.0.1.4", "Down_Admin", NIC.upper()), row("10.0.1.5", "Up_Probe_Success", "/other")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        balancers = LoadBalancersOverArm(azure, POLL)
        reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
        assert reading.backends == {"nva-a": Backend(AdminState.DOWN, "Down_Admin")}
        await balancers.fence(write())
    states = {a["name"]: a["properties"].get("adminState") for a in arm.addresses}
    assert states == {"two": None, "one": "Down"}


async def test_a_pool_of_interfaces_is_matched_by_the_name_that_the_topology_gives(tmp_path: Path) -> None:
    arm = LazyArm(hidden("one", NIC), hidden("two", "/other"))
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        await LoadBalancersOverArm(azure, POLL).fence(write(backend="ONE"))
    assert arm.addresses[0]["properties"]["adminState"] == "Down"


async def test_a_name_that_belongs_to_another_ip_is_nobody(tmp_path: Path) -> None:
    arm = LazyArm(entry("one", ipAddress="10.0.1.77"))
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="is not in pool"):
            await LoadBalancersOverArm(azure, POLL).fence(write(backend="one"))
    assert arm.puts == []


async def test_two_rows_for_one_member_must_agree(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.health = [row("10.0.1.4", "Down_Admin"), row("10.0.1.4", "Up_Probe_Success")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="says Up_Probe_Success and not Down_Admin"):
            await LoadBalancersOverArm(azure, POLL).fence(write(timeout=1, settle=0.1))


async def test_a_health_action_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.health = [row("10.0.1.4", "Down_Admin")]
    arm.health_refused = [refusal(503, "ServerBusy", x_ms_retry_after_ms="30")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        assert (await LoadBalancersOverArm(azure, POLL).fence(write())).etag == 'W/"2"'
    assert len(arm.puts) == 1


@pytest.mark.parametrize("first", [refusal, row], ids=["refused", "says up"])
async def test_the_settle_time_begins_anew_after_health_did_not_just_stay_empty(tmp_path: Path, first: object) -> None:
    """Both last for longer than the settle time: one empty answer after them proves nothing yet."""
    arm = LazyArm()
    empty: list[None] = []
    against = time.monotonic() + 0.5

    async def answer(request: web.Request) -> web.Response:
        if request.method != "POST":
            return await arm.answer(request)
        if time.monotonic() > against:
            empty.append(None)
            return web.json_response({"loadBalancerBackendAddresses": []})
        if first is refusal:
            return refusal(503, "ServerBusy", x_ms_retry_after_ms="100")
        return web.json_response({"loadBalancerBackendAddresses": [row("10.0.1.4", "Up_Probe_Success")]})

    async with fake_arm(answer, tmp_path) as azure:
        await azure.network(WANTED.subscription)
        against = time.monotonic() + 0.5
        await LoadBalancersOverArm(azure, POLL).fence(write(settle=0.2))
    assert len(empty) > 2


async def test_a_lift_that_another_hand_undoes_at_once_is_no_lift(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.addresses[0]["properties"]["adminState"] = "Down"

    async def answer(request: web.Request) -> web.Response:
        answered = await arm.answer(request)
        if request.method == "PUT":
            arm.addresses[0]["properties"]["adminState"] = "Down"
        return answered

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Superseded, match="None was written for one and ARM shows Down"):
            await LoadBalancersOverArm(azure, POLL).lift(write())


async def test_a_rule_without_a_probe_makes_a_fence_unprovable(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.rules.append(rule("bare", probe=None))
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="rule bare has no probe"):
            await LoadBalancersOverArm(azure, POLL).fence(write())
    assert arm.puts == []


async def test_no_rule_with_the_pool_and_the_probe_makes_a_fence_unprovable_and_reasons_unknown(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.rules = [rule("ssh", probe="port-22"), rule("web", pool="others")]
    arm.health = [row("10.0.1.4", "Up_Probe_Success")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        balancers = LoadBalancersOverArm(azure, POLL)
        with pytest.raises(Unavailable, match="no rule joins pool NVAs and probe Agent"):
            await balancers.fence(write())
        reading = await balancers.read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.backends["nva-a"] == Backend(AdminState.NONE, None)


async def test_the_first_rule_with_pool_and_probe_is_asked(tmp_path: Path) -> None:
    arm = LazyArm()
    asked: list[str] = []
    several = rule("second")
    several["properties"]["backendAddressPools"] = [several["properties"].pop("backendAddressPool")]
    arm.rules = [rule("first", pool="others"), several, rule("third")]

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            asked.append(request.path.split("/")[-2])
        return await arm.answer(request)

    async with fake_arm(answer, tmp_path) as azure:
        await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
    assert asked == ["second"]


async def test_a_member_that_another_pool_reaches_too_cannot_be_fenced(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.other_pools = [entry("others", loadBalancerBackendAddresses=[entry("again", ipAddress="10.0.1.4")])]
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        balancers = LoadBalancersOverArm(azure, POLL)
        await balancers.fence(write())  # no rule uses the other pool
        arm.rules.append(rule("web", pool="others"))
        with pytest.raises(Unavailable, match="nva-a is also in pool others"):
            await balancers.fence(write())


async def test_a_state_that_is_not_known_is_not_guessed_at(tmp_path: Path) -> None:
    arm = LazyArm(entry("one", ipAddress="10.0.1.4", adminState="Drain"))
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="one has adminState 'Drain'"):
            await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
