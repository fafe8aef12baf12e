"""The simulated load balancer on virtual time: one etag, writes that take time, and a data plane that follows later."""

import json
from typing import Any

import pytest

from lab.kit.credential import authorization
from simulator import arm
from simulator.clock import VirtualClock
from simulator.data_plane import probed
from simulator.seeds import HubSeed, hub_seed
from simulator.wire import Reply, Request
from simulator.world import World

WANTED = HubSeed(backends=(("nva-a", "10.0.1.4"), ("nva-b", "10.0.1.5")))
POOL = f"{WANTED.load_balancer_id}/backendAddressPools/{WANTED.pool}"
RULE = f"{WANTED.load_balancer_id}/loadBalancingRules/all-ports"
HOST = "https://arm.example"


class Azure:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.world = World(self.clock, hub_seed(WANTED, alert_threshold=None))

    def call(self, method: str, url: str, body: Any = None, if_match: str | None = None) -> Reply:
        path, _, _ = url.removeprefix(HOST).partition("?")
        headers = authorization() | ({} if if_match is None else {"if-match": if_match})
        content = b"" if body is None else json.dumps(body).encode()
        return arm.answer(self.world, Request(method, path, {"api-version": "2025-05-01"}, headers, content, HOST))

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.world.settle()

    def pool(self) -> dict[str, Any]:
        copied: dict[str, Any] = json.loads(self.call("GET", POOL).content())
        return copied

    def put_admin(self, state: str, *, name: str = "nva-a", if_match: str | None = None) -> Reply:
        body = self.pool()
        for address in body["properties"]["loadBalancerBackendAddresses"]:
            if address["name"] == name:
                address["properties"]["adminState"] = state
        return self.call("PUT", POOL, body, if_match)

    def health(self) -> dict[str, tuple[str, str]]:
        accepted = self.call("POST", f"{RULE}/health")
        assert accepted.status == 202
        assert accepted.body is None
        self.pass_seconds(1)
        answer = self.call("GET", accepted.headers["Location"])
        assert answer.status == 200
        rows = answer.body["loadBalancerBackendAddresses"]
        assert answer.body["up"] == sum(row["state"] == "Up" for row in rows)
        return {row["ipAddress"]: (row["state"], row["reason"]) for row in rows}

    def report(self, **up: bool) -> None:
        addresses = dict(WANTED.backends)
        results = {addresses[name.replace("_", "-")]: probed(one, None) for name, one in up.items()}
        self.world.data_plane.report(WANTED.load_balancer, results)


@pytest.fixture
def azure() -> Azure:
    azure = Azure()
    azure.report(nva_a=True, nva_b=False)
    return azure


def test_a_load_balancer_and_everything_in_it_share_one_etag(azure: Azure) -> None:
    def etags() -> set[str]:
        children = ("backendAddressPools", "loadBalancingRules", "probes", "frontendIPConfigurations")
        lists = [azure.call("GET", f"{WANTED.load_balancer_id}/{kind}").body["value"] for kind in children]
        found = {child["etag"] for value in lists for child in value}
        return found | {azure.call("GET", WANTED.load_balancer_id).body["etag"], azure.pool()["etag"]}

    assert len(etags()) == 1
    before = etags()
    azure.put_admin("Down")
    assert len(etags()) == 1
    assert etags() != before


def test_a_stale_if_match_is_refused_and_writes_nothing(azure: Azure) -> None:
    stale = azure.pool()["etag"]
    azure.put_admin("Down", if_match=stale)
    azure.pass_seconds(3)
    refused = azure.put_admin("None", if_match=stale)
    assert (refused.status, refused.body["error"]["code"]) == (412, "PreconditionFailed")
    addresses = azure.pool()["properties"]["loadBalancerBackendAddresses"]
    assert addresses[0]["properties"]["adminState"] == "Down"


def test_a_write_is_updating_until_it_has_succeeded(azure: Azure) -> None:
    accepted = azure.put_admin("Down", if_match=azure.pool()["etag"])
    assert (accepted.status, accepted.body["properties"]["provisioningState"]) == (200, "Updating")
    status = accepted.headers["Azure-AsyncOperation"]
    assert azure.call("GET", status).body["status"] == "InProgress"
    azure.pass_seconds(3)
    assert azure.call("GET", status).body["status"] == "Succeeded"
    assert azure.pool()["properties"]["provisioningState"] == "Succeeded"


def test_success_precedes_propagation(azure: Azure) -> None:
    azure.world.set_faults({"propagation": 60})
    azure.put_admin("Down")
    azure.pass_seconds(3)
    assert azure.pool()["properties"]["provisioningState"] == "Succeeded"
    assert azure.health()["10.0.1.4"] == ("Up", "Up_Probe_Success")
    azure.pass_seconds(60)
    assert azure.health()["10.0.1.4"] == ("Down", "Down_Admin")


def test_a_slow_older_write_does_not_undo_a_newer_one(azure: Azure) -> None:
    azure.world.set_faults({"propagation": 60})
    azure.put_admin("Down")
    azure.pass_seconds(3)
    azure.world.set_faults({"propagation": 0})
    azure.put_admin("None")
    azure.pass_seconds(3)
    azure.pass_seconds(100)
    assert azure.health()["10.0.1.4"] == ("Up", "Up_Probe_Success")


def test_a_write_during_a_write_supersedes_it(azure: Azure) -> None:
    first = azure.put_admin("Down").headers["Azure-AsyncOperation"]
    azure.put_admin("Down", name="nva-b")
    azure.pass_seconds(3)
    answer = azure.call("GET", first).body
    assert (answer["status"], answer["error"]["code"]) == ("Canceled", "CanceledAndSupersededDueToAnotherOperation")


def test_a_write_that_changes_nothing_may_keep_the_etag(azure: Azure) -> None:
    azure.put_admin("Down")
    azure.pass_seconds(3)
    before = azure.pool()["etag"]
    azure.world.set_faults({"noop_keeps_etag": True})
    assert azure.put_admin("Down").body["etag"] == before
    azure.world.set_faults({"noop_keeps_etag": False})
    assert azure.put_admin("Down").body["etag"] != before


def test_an_unknown_admin_state_is_refused(azure: Azure) -> None:
    assert azure.put_admin("Drain").status == 400


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("None", ("Down", "Down_Probe_TcpProbeTimeout")),
        ("Up", ("Up", "Up_Admin")),
        ("Down", ("Down", "Down_Admin")),
    ],
)
def test_admin_state_comes_before_the_probe(azure: Azure, admin: str, expected: tuple[str, str]) -> None:
    azure.put_admin(admin, name="nva-b")
    azure.pass_seconds(10)
    assert azure.health()["10.0.1.5"] == expected


def test_a_backend_that_was_never_probed_has_no_reason() -> None:
    azure = Azure()
    assert azure.health() == {"10.0.1.4": ("Down", "NA"), "10.0.1.5": ("Down", "NA")}


def test_a_stale_health_action_repeats_what_it_knew(azure: Azure) -> None:
    azure.world.set_faults({"health_stale": True})
    azure.report(nva_a=False)
    assert azure.health()["10.0.1.4"] == ("Up", "Up_Probe_Success")
    azure.world.set_faults({"health_stale": False})
    assert azure.health()["10.0.1.4"] == ("Down", "Down_Probe_TcpProbeTimeout")


def test_an_empty_health_action_names_no_backend(azure: Azure) -> None:
    azure.world.set_faults({"health_empty": True})
    assert azure.health() == {}


def test_the_health_of_a_rule_without_a_probe_is_refused(azure: Azure) -> None:
    rule = azure.call("GET", RULE).body
    del rule["properties"]["probe"]
    assert azure.call("POST", f"{RULE}/health").status == 400


def test_the_network_interface_of_a_backend_survives_a_write_that_does_not_name_it(azure: Azure) -> None:
    body = {
        "properties": {"loadBalancerBackendAddresses": [{"name": "nva-a", "properties": {"ipAddress": "10.0.1.4"}}]}
    }
    azure.call("PUT", POOL, body)
    azure.pass_seconds(10)
    (address,) = azure.pool()["properties"]["loadBalancerBackendAddresses"]
    assert address["properties"]["networkInterfaceIPConfiguration"]["id"].endswith(
        "nva-a-nic/ipConfigurations/ipconfig1"
    )
    assert set(azure.health()) == {"10.0.1.4"}


def test_a_whole_load_balancer_can_be_written(azure: Azure) -> None:
    body = json.loads(azure.call("GET", WANTED.load_balancer_id).content())
    body["tags"] = {"hopkeeper": "yes"}
    accepted = azure.call("PUT", WANTED.load_balancer_id, body, if_match=body["etag"])
    assert accepted.status == 200
    azure.pass_seconds(10)
    read = azure.call("GET", WANTED.load_balancer_id).body
    assert (read["tags"], read["properties"]["provisioningState"]) == ({"hopkeeper": "yes"}, "Succeeded")
    assert azure.health()["10.0.1.4"] == ("Up", "Up_Probe_Success")
