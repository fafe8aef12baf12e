"""What wakes a topology: every resource that its document names, and everything that Azure's events tell of them.

Both lists are read from where they are made, the schema's annotations and the event subscription's filter, so that a new
field or a new operation that wakes no topology fails here.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import ResourceId, Topology
from function_app.reconcile.store.topologies import Topologies
from function_app.reconcile.use_cases import UseCases
from tests.builders import SUB, document, text
from tests.fakes import FakeDocuments, FakeWorld, make_ports

EVENTS = Path(__file__).parents[2] / "infra" / "bicep" / "modules" / "resource-events.bicep"
COMPUTE = SUB.replace("Microsoft.Network", "Microsoft.Compute")

# One id for each field of the schema that holds one.
IDS = {
    "RouteServer.id": f"{SUB}/virtualHubs/rs",
    "LoadBalancer.id": f"{SUB}/loadBalancers/ilb",
    "BackendPool.id": f"{SUB}/loadBalancers/plb",
    "ScaleSet.id": f"{COMPUTE}/virtualMachineScaleSets/fleet",
    "Speaker.vm": f"{COMPUTE}/virtualMachines/nva-a",
    "Speaker.interface": f"{SUB}/networkInterfaces/nva-a-nic",
    "NetworkPeering.id": f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/to-hub",
}


def everything() -> dict[str, Any]:
    """A document in which each of these fields is set."""
    doc = document(
        scaleSets=[{"name": "fleet", "id": IDS["ScaleSet.id"], "asn": 65010, "peersWith": ["rs"]}],
        networkPeerings=[{"name": "spoke-hub", "id": IDS["NetworkPeering.id"]}],
    )
    doc["speakers"][0] |= {"vm": IDS["Speaker.vm"], "interface": IDS["Speaker.interface"]}
    also = {"id": IDS["BackendPool.id"], "backendPool": "outside", "probe": "agent"}
    doc["services"][0]["nextHop"]["loadBalancer"]["alsoBehind"] = [also]
    return doc


def fields_with_ids(struct: type, seen: set[type]) -> Iterator[str]:
    """`{Struct}.{field}` of every field that may hold a resource id, here and in whatever it is made of."""
    if struct in seen:
        return
    seen.add(struct)
    for name, hint in get_type_hints(struct, include_extras=True).items():
        if ResourceId in leaves(hint):
            yield f"{struct.__name__}.{name}"
        for leaf in leaves(hint):
            if isinstance(leaf, type) and issubclass(leaf, msgspec.Struct):
                yield from fields_with_ids(leaf, seen)


def leaves(hint: Any) -> list[Any]:
    return [hint, *(leaf for arg in get_args(hint) for leaf in leaves(arg))]


def operations() -> list[str]:
    (listed,) = re.findall(r"var operations = \[(.*?)\]", EVENTS.read_text(), re.DOTALL)
    return re.findall(r"'([^']+)'", listed)


async def app() -> UseCases:
    """Over storage with that document in force, and another's that names nothing of it."""
    documents = FakeDocuments()
    topologies = Topologies(documents, Place())
    applied = await topologies.apply(text(everything()))
    other = document(name="other", services=[])
    other["routeServers"][0]["id"] = f"{SUB}/virtualHubs/rs-other"
    await topologies.apply(text(other))
    return UseCases(make_ports(FakeWorld(applied), documents), topologies)


# --- which topologies -------------------------------------------------------------------------------------------------


def test_the_ids_here_are_of_every_field_that_may_hold_one() -> None:
    assert sorted(fields_with_ids(Topology, set())) == sorted(IDS)


@pytest.mark.parametrize("field", IDS)
@pytest.mark.parametrize("below", ["", "/backendAddressPools/nvas"])
async def test_a_resource_that_the_document_names_wakes_its_topology_and_so_does_what_is_below_it(
    field: str, below: str
) -> None:
    use_cases = await app()
    for spelled in (IDS[field] + below, (IDS[field] + below).upper(), f"{IDS[field]}{below}/"):
        assert await use_cases.wake_for([spelled]) == ("hub",), spelled
    assert await use_cases.wake_for([f"{IDS[field]}-2{below}"]) == ()


@pytest.mark.parametrize("operation", operations())
async def test_every_operation_that_the_event_subscription_watches_wakes_the_topology_that_names_its_resource(
    operation: str,
) -> None:
    """Of the resource itself, or of what is below one that the document names."""
    kind = re.sub(r"/(write|delete|\w+/action)$", "", operation)
    subject = next((found for named in IDS.values() if (found := of_kind(named, kind))), None)
    assert subject is not None, f"no field of the document names a {kind} or its parent"
    event = {"subject": subject, "data": {"operationName": operation, "resourceUri": subject}}
    assert await (await app()).wake_for(event) == ("hub",)


def of_kind(named: str, kind: str) -> str | None:
    """A resource of this kind that is named, or that is below it."""
    namespace, *types = kind.split("/")
    there = re.sub(r".*/providers/", "", named).split("/")
    if (there[0], there[1::2]) != (namespace, types[: len(there[1::2])]):
        return None
    return named + "".join(f"/{each}/x" for each in types[len(there[1::2]) :])


def test_every_kind_of_resource_that_a_document_names_is_watched() -> None:
    watched = {re.sub(r"/(write|delete|\w+/action)$", "", each) for each in operations()}
    for field, named in IDS.items():
        assert any(of_kind(named, kind) == named for kind in watched), field


# --- by what ----------------------------------------------------------------------------------------------------------

VM = IDS["Speaker.vm"]
# Azure Monitor's schemas, cut down: "Common alert schema", "Webhooks for Azure activity log alerts", "Understand the
# webhook payload of log search alerts", "Webhook payload of metric alerts".
ALERTS: dict[str, Any] = {
    "common": {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"alertTargetIDs": [VM]}}},
    "common, one target null": {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {"essentials": {"alertTargetIDs": [None, VM, 7]}},
    },
    "common, one target a text": {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {"essentials": {"alertTargetIDs": VM}},
    },
    "metric": {"schemaId": "AzureMonitorMetricAlert", "data": {"context": {"resourceId": VM}}},
    "activity log": {
        "schemaId": "Microsoft.Insights/activityLogs",
        "data": {"status": "Activated", "context": {"activityLog": {"resourceId": VM, "operationName": None}}},
    },
    "log search": {
        "schemaId": "Microsoft.Insights/LogAlert",
        "data": {"SearchResults": {"tables": [{"rows": [["2026-01-01T00:00:00Z", VM.upper(), None]]}]}},
    },
    "of the future": {"schemaId": "x", "data": {"targets": {VM: True}, "about": {"id": f" {VM} "}}},
}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
async def test_an_alert_of_any_schema_wakes_for_the_ids_that_it_holds(alert: dict[str, Any]) -> None:
    assert await (await app()).wake_for(alert) == ("hub",)


WITHIN = [
    json.dumps({"resourceId": VM}),
    json.dumps(json.dumps({"resourceId": VM})),
    json.dumps({"resourceId": VM}).replace("/", "\\/"),
    f"https://management.azure.com{VM}?api-version=2024-07-01",
    f"https://portal.azure.com/#@x/resource{VM.upper()}/overview",
    f"The machine {VM}.",
    f"({VM})",
    f"/subscriptions/x{VM}",
    f"{VM},{VM}-2",
]


@pytest.mark.parametrize("said", WITHIN)
async def test_an_id_within_a_text_wakes_its_topology(said: str) -> None:
    assert await (await app()).wake_for({"customProperties": [said]}) == ("hub",)
    assert await (await app()).wake_for({said: None}) == ("hub",)
    assert await (await app()).wake_for([said.replace("nva-a", "nva-x").replace("NVA-A", "NVA-X")]) == ()


async def test_a_resource_group_with_parentheses_is_no_limit_within_a_text() -> None:
    doc = everything()
    doc["speakers"][0]["vm"] = VM.replace("/resourceGroups/", "/resourceGroups/(a)")
    documents = FakeDocuments()
    topologies = Topologies(documents, Place())
    use_cases = UseCases(make_ports(FakeWorld(await topologies.apply(text(doc))), documents), topologies)
    assert await use_cases.wake_for([f"see {doc['speakers'][0]['vm']}"]) == ("hub",)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just("/subscriptions/"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["subject", "data"]), inner),
)


@settings(deadline=None)  # a machine under load is no fault of it
@given(JSON)
async def test_whatever_an_event_or_alert_says_it_wakes_and_never_fails(said: Any) -> None:
    use_cases = await app()
    assert await use_cases.wake_for([said]) == ()
    assert await use_cases.wake_for([said, {"deep": [said, VM.upper(), said]}]) == ("hub",)


async def test_nesting_is_no_limit() -> None:
    said: Any = [VM]
    for _ in range(100_000):
        said = [said]
    assert await (await app()).wake_for(said) == ("hub",)
