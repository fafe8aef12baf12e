"""Load balancers that the simulator does not have: pools of network interfaces, other rules and pools, lazy etags."""

import asyncio
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from function_app.adapters.arm.client import Azure
from function_app.adapters.arm.load_balancer import KEPT_MAX, AdminStatesOverArm, LoadBalancersOverArm, Timeouts
from function_app.domain.base.errors import Superseded, Unavailable
from function_app.domain.service.observation import AdminState, Backend
from function_app.domain.topology.model import Service
from function_app.reconcile.ports import PoolView
from tests.contract.adapters_azure import NVA_A, POLL, SPEAKERS, WANTED, fake_arm, pool_address, refusal, service

LB = WANTED.load_balancer_id
NONE, DOWN = AdminState.NONE, AdminState.DOWN
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
            self.version += 1
            return web.json_response(self.document)
        if request.method == "POST":
            refused = self.health_refused.pop() if self.health_refused else None
            return refused or web.json_response({"loadBalancerBackendAddresses": self.health})
        return web.json_response(self.pool if request.path.casefold().endswith("/nvas") else self.document)

    def _put(self, body: dict[str, Any]) -> web.Response:
        self.puts.append(body)
        written = {a["name"]: a for a in body["properties"]["loadBalancerBackendAddresses"] if a.get("name")}
        for address in (a for a in self.addresses if a.get("name")):
            state = written[address["name"]]["properties"].get("adminState")
            if state is not None:
                address["properties"]["adminState"] = state
        self.version += 1
        return web.json_response(self.pool)


def hidden(name: str, interface: str, **facts: Any) -> dict[str, Any]:
    """An address of a pool of network interfaces: no IP."""
    return entry(name, networkInterfaceIPConfiguration={"id": interface}, **facts)


def row(ip: str, reason: str, interface: str | None = None) -> dict[str, Any]:
    return {"ipAddress": ip, "state": reason.split("_")[0], "reason": reason} | (
        {"networkInterfaceIPConfigurationId": interface} if interface else {}
    )


def admin_states(azure: Azure) -> AdminStatesOverArm:
    return AdminStatesOverArm(azure, Timeouts(poll=POLL))


async def set_down(azure: Azure, **member: Any) -> PoolView:
    states = admin_states(azure)
    return await states.set(service(**member), NVA_A, DOWN, (await states.look(service(**member), NVA_A)).etag)


async def test_the_pool_is_written_as_read_with_one_state_changed(tmp_path: Path) -> None:
    """Also what this version of the SDK has no name for; only what ARM alone may write stays away."""
    arm = LazyArm()
    arm.addresses[0]["properties"]["inVogue"] = True
    expected = deepcopy(arm.pool["properties"]["loadBalancerBackendAddresses"])
    async with fake_arm(arm.answer, tmp_path) as azure:
        assert await set_down(azure) == PoolView('W/"2"', DOWN, None, pool_address("one"))
    [put] = arm.puts
    expected[0]["properties"]["adminState"] = "Down"
    assert put["properties"] == {"loadBalancerBackendAddresses": expected, "soon": {"new": 1}}
    assert arm.matches == [("PUT", 'W/"1"')]


async def test_a_write_that_comes_after_the_get_of_the_body_makes_the_put_fail(tmp_path: Path) -> None:
    arm = LazyArm()

    async def answer(request: web.Request) -> web.Response:
        arm.version += request.method == "PUT"
        return await arm.answer(request)

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Superseded, match="412 PreconditionFailed"):
            await set_down(azure)
    assert arm.matches == [("PUT", 'W/"1"')]
    assert arm.puts == []


async def test_a_bump_writes_a_tag_beside_the_others_if_the_etag_still_is_the_one(tmp_path: Path) -> None:
    arm = LazyArm()
    async with fake_arm(arm.answer, tmp_path) as azure:
        await admin_states(azure).bump(service(), 'W/"1"')
    assert arm.matches == [("PATCH", 'W/"1"')]
    assert arm.tags == {"owner": "net", "hopkeeper-fence": 'W/"1"'}


async def test_a_pool_of_interfaces_is_matched_by_the_nic_that_has_the_ip(tmp_path: Path) -> None:
    arm = LazyArm(hidden("two", NIC.replace("nva-a", "nva-b")), hidden("one", NIC, adminState="Down"))
    arm.health = [row("10.0.1.4", "Down_Admin", NIC.upper()), row("10.0.1.5", "Up_Probe_Success", "/other")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        reading = await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
        assert reading.backends == {"nva-a": Backend(DOWN, "Down_Admin", pool_address("one"))}
        assert reading.strangers == frozenset()  # whose interface the other one is, health does not say
        states = admin_states(azure)
        assert await states.look(service(), NVA_A) == PoolView('W/"1"', DOWN, None, pool_address("one"))
        assert await states.health_reason(service(), NVA_A) == "Down_Admin"
        await states.set(service(), NVA_A, NONE, 'W/"1"')
    assert {a["name"]: a["properties"].get("adminState") for a in arm.addresses} == {"two": None, "one": "None"}


async def test_a_pool_of_interfaces_is_matched_by_the_name_that_the_topology_gives(tmp_path: Path) -> None:
    arm = LazyArm(hidden("one", NIC), hidden("two", "/other"))
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        await set_down(azure, backend="ONE")
        assert await admin_states(azure).health_reason(service(backend="ONE"), NVA_A) == "Down_Admin"
    assert arm.addresses[0]["properties"]["adminState"] == "Down"


async def test_a_name_that_belongs_to_another_ip_is_not_in_the_pool(tmp_path: Path) -> None:
    arm = LazyArm(entry("one", ipAddress="10.0.1.77"))
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="is not in pool"):
            await admin_states(azure).set(service(backend="one"), NVA_A, DOWN, 'W/"1"')
    assert arm.puts == []


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("other", "read"),
    [
        (row("10.0.1.4", "Up_Probe_Success"), "Up_Probe_Success"),
        ({"ipAddress": "10.0.1.4", "state": "Up"}, None),
        ({"ipAddress": "10.0.1.4", "reason": ""}, None),
        ({"ipAddress": "10.0.1.4", "state": "Up", "reason": "Down_Admin"}, None),
        (row("10.0.1.4", "Down_Admin"), "Down_Admin"),
        ({"ipAddress": "10.0.1.4", "reason": "Down_Admin"}, "Down_Admin"),
    ],
)
async def test_two_rows_for_one_member_must_agree_that_it_is_down(
    tmp_path: Path, other: dict[str, Any], read: str | None, first: bool
) -> None:
    arm = LazyArm()
    arm.health = [row("10.0.1.4", "Down_Admin"), other][:: -1 if first else 1]
    async with fake_arm(arm.answer, tmp_path) as azure:
        assert await admin_states(azure).health_reason(service(), NVA_A) == read


async def test_a_health_action_that_is_refused_is_no_silence_and_says_when_to_come_back(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.health_refused = [refusal(503, "ServerBusy", x_ms_retry_after_ms="30")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="503 ServerBusy") as caught:
            await admin_states(azure).health_reason(service(), NVA_A)
        assert caught.value.retry_after == timedelta(milliseconds=30)
        assert await admin_states(azure).health_reason(service(), NVA_A) is None


async def test_a_rule_without_a_probe_makes_a_fence_unprovable(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.rules.append(rule("bare", probe=None))
    async with fake_arm(arm.answer, tmp_path) as azure:
        seen = await admin_states(azure).look(service(), NVA_A)
    assert seen.unprovable == "rule bare has no probe, and there adminState does nothing"


async def test_no_rule_with_the_pool_and_the_probe_makes_a_fence_unprovable_and_reasons_unknown(tmp_path: Path) -> None:
    arm = LazyArm()
    arm.rules = [rule("ssh", probe="port-22"), rule("web", pool="others")]
    arm.health = [row("10.0.1.4", "Up_Probe_Success")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = admin_states(azure)
        assert (await states.look(service(), NVA_A)).unprovable == "no rule joins pool NVAs and probe Agent"
        with pytest.raises(Unavailable, match="no rule joins pool NVAs and probe Agent"):
            await states.health_reason(service(), NVA_A)
        reading = await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
    assert reading.backends["nva-a"] == Backend(NONE, None, pool_address("one"))


async def test_the_first_rule_with_pool_and_probe_is_queried(tmp_path: Path) -> None:
    arm = LazyArm()
    probes_of: list[str] = []
    several = rule("second")
    several["properties"]["backendAddressPools"] = [several["properties"].pop("backendAddressPool")]
    arm.rules = [rule("first", pool="others"), several, rule("third")]

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            probes_of.append(request.path.split("/")[-2])
        return await arm.answer(request)

    async with fake_arm(answer, tmp_path) as azure:
        await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
        await admin_states(azure).health_reason(service(), NVA_A)
    assert probes_of == ["second", "second"]


@pytest.mark.parametrize("again", [{"ipAddress": "10.0.1.4"}, {"networkInterfaceIPConfiguration": {"id": NIC}}])
async def test_a_member_that_another_pool_reaches_too_cannot_be_fenced(tmp_path: Path, again: dict[str, Any]) -> None:
    arm = LazyArm(entry("one", ipAddress="10.0.1.4", networkInterfaceIPConfiguration={"id": NIC.upper()}))
    arm.other_pools = [entry("others", loadBalancerBackendAddresses=[entry("again", **again)])]
    async with fake_arm(arm.answer, tmp_path) as azure:
        assert (await admin_states(azure).look(service(), NVA_A)).unprovable is None  # no rule uses the other pool
        arm.rules.append(rule("web", pool="others"))
        seen = await admin_states(azure).look(service(), NVA_A)
        assert seen.unprovable == "nva-a is also in pool others, where this fence does nothing"
        assert await set_down(azure) == PoolView('W/"2"', DOWN, seen.unprovable, pool_address("one"))


async def test_a_state_that_is_not_known_is_not_guessed_at(tmp_path: Path) -> None:
    arm = LazyArm(entry("one", ipAddress="10.0.1.4", adminState="Drain"))
    async with fake_arm(arm.answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="one has adminState 'Drain'"):
            await LoadBalancersOverArm(azure, POLL).read(service(), SPEAKERS, timedelta(seconds=5))
        with pytest.raises(Unavailable, match="one has adminState 'Drain'"):
            await admin_states(azure).look(service(), NVA_A)


async def test_a_pool_without_an_etag_cannot_be_written_conditionally(tmp_path: Path) -> None:
    arm = LazyArm()

    async def answer(request: web.Request) -> web.Response:
        if request.path.casefold().endswith("/nvas"):
            return web.json_response({**arm.pool, "etag": None})
        return await arm.answer(request)

    async with fake_arm(answer, tmp_path) as azure:
        with pytest.raises(Unavailable, match="pool nvas was answered without an etag"):
            await admin_states(azure).look(service(), NVA_A)


async def test_what_a_foreign_address_says_keeps_no_member_from_being_fenced(tmp_path: Path) -> None:
    """A state of the future, no name: only of a member it matters."""
    others: list[Any] = [entry("new", ipAddress="10.0.1.9", adminState="Drain"), {"properties": None}]
    arm = LazyArm(*others, entry("one", ipAddress="10.0.1.4"))
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = AdminStatesOverArm(azure, Timeouts(poll=POLL))
        seen = await states.look(service(), NVA_A)
        assert (await states.set(service(), NVA_A, DOWN, seen.etag)).admin_state is DOWN
    assert [a.get("name") for a in arm.puts[0]["properties"]["loadBalancerBackendAddresses"]] == [
        "new", None, "one",
    ]  # fmt: skip


async def test_a_member_whose_address_has_no_name_cannot_be_written_and_that_is_said(tmp_path: Path) -> None:
    arm = LazyArm({"properties": {"ipAddress": "10.0.1.4"}})
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = AdminStatesOverArm(azure, Timeouts(poll=POLL))
        seen = await states.look(service(), NVA_A)
        with pytest.raises(Unavailable, match=r"the address 10\.0\.1\.4 of the pool has no name to write to"):
            await states.set(service(), NVA_A, DOWN, seen.etag)
    assert arm.puts == []


class Ordered(LazyArm):
    """Notes the requests in their order, and holds each read of the load balancer or the pool up until the health of a rule is
    requested, where `until_health` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[str] = []
        self.until_health = False
        self._asked = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.came.append(f"health of {request.path.split('/')[-2]}" if request.method == "POST" else request.method)
        if request.method == "POST":
            self._asked.set()
        elif self.until_health:
            async with asyncio.timeout(5):
                await self._asked.wait()
        return await super().answer(request)


async def test_the_write_after_a_look_reads_nothing_once_more(tmp_path: Path) -> None:
    arm = Ordered()
    async with fake_arm(arm.answer, tmp_path) as azure:
        await set_down(azure)
    assert arm.came == ["GET", "GET", "PUT", "GET", "GET"]


async def test_the_health_after_a_look_is_requested_beside_the_next_look(tmp_path: Path) -> None:
    arm = Ordered()
    arm.health = [row("10.0.1.4", "Down_Admin")]
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = admin_states(azure)
        await states.look(service(), NVA_A)
        arm.until_health = True
        assert await states.health_reason(service(), NVA_A) == "Down_Admin"
    assert sorted(arm.came[2:]) == ["GET", "GET", "health of all-ports"]


async def test_where_another_rule_has_pool_and_probe_by_now_its_health_counts(tmp_path: Path) -> None:
    arm = Ordered()
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = admin_states(azure)
        await states.look(service(), NVA_A)
        arm.rules = [rule("anew")]
        arm.health_refused = [refusal(404, "NotFound")]
        arm.health = [row("10.0.1.4", "Down_Admin")]
        assert await states.health_reason(service(), NVA_A) == "Down_Admin"
    assert arm.came[-1] == "health of anew"


def behind(name: str) -> Service:
    """The service, behind another load balancer."""
    hop = service().next_hop
    assert hop.load_balancer is not None
    other = replace(hop.load_balancer, id=LB.rpartition("/")[0] + f"/{name}")
    return replace(service(), next_hop=replace(hop, load_balancer=other))


async def test_of_many_pools_a_few_readings_are_kept_and_each_is_written_as_it_was_read(tmp_path: Path) -> None:
    arm = Ordered()
    async with fake_arm(arm.answer, tmp_path) as azure:
        states = admin_states(azure)
        first = await states.look(service(), NVA_A)
        for number in range(KEPT_MAX):
            await states.look(behind(f"lb-{number}"), NVA_A)
        arm.came.clear()
        await states.set(service(), NVA_A, DOWN, first.etag)
    assert arm.came == ["GET", "GET", "PUT", "GET", "GET"]
