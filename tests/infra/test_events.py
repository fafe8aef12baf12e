"""The subscription to Azure's events reaches a function that is there, and asks for what concerns a topology only."""

import re
from collections.abc import Mapping

import pytest

from tests.infra.bicep_text import ROOT, files, parsed, planted, strings

# "Microsoft.Resources as an Event Grid source"
EVENT_TYPES = {
    f"Microsoft.Resources.Resource{what}{how}"
    for what in ("Write", "Delete", "Action")
    for how in ("Success", "Failure", "Cancel")
}
# What a topology names or depends on.
WATCHED = {
    "Microsoft.Network/virtualHubs",
    "Microsoft.Network/virtualHubs/bgpConnections",
    "Microsoft.Network/loadBalancers",
    "Microsoft.Network/loadBalancers/backendAddressPools",
    "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/virtualMachineScaleSets",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
}
FILTER_VALUES_MAX = 25  # "Event filtering for Event Grid subscriptions": over all filters of a subscription
FILE = "modules/resource-events.bicep"


def functions() -> set[str]:
    triggers = (ROOT / "function_app" / "triggers").glob("*.py")
    return {name for path in triggers for name in re.findall(r"(?m)^async def (\w+)\(", path.read_text())}


def problems(texts: Mapping[str, str]) -> list[str]:
    sources = parsed(texts)
    source = sources[FILE]
    (events,) = (each for each in source.resources() if "eventSubscriptions" in each.type)
    values = events.values
    (types,) = (node for path, node in events.nodes if path == "properties.filter.includedEventTypes")
    operations = set(strings(source.variables()["operations"]))
    prefixes = re.search(r"@maxLength\((\d+)\)\s*param subjectPrefixes", texts[FILE])
    kinds = {re.sub(r"/(write|delete|\w+/action)$", "", each) for each in operations}
    (module,) = (each for each in sources["main.bicep"].modules() if each.symbol == "resourceEvents")
    found = [f"no event type {each}" for each in sorted(set(strings(types)) - EVENT_TYPES)]
    found += [f"{each} is nobody's business" for each in sorted(kinds - WATCHED)]
    found += [f"{each} is not watched" for each in sorted(WATCHED - kinds)]
    found += [f"no function {each}" for each in module.values["params.functionName"] if each not in functions()]
    if set(values["properties.filter.advancedFilters[].key"]) != {"data.operationName", "subject"}:
        found.append("filters look at something else")
    if prefixes is None or len(operations) + int(prefixes[1]) > FILTER_VALUES_MAX:
        found.append("too many values in filters")
    if values.get("properties.deadLetterWithResourceIdentity.identity.type") != ("SystemAssigned",):
        found.append("dead letters need an identity: the account has no keys")
    return found


def test_events_reach_the_function_and_concern_a_topology() -> None:
    assert problems(files()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "named"),
    [
        (FILE, "ResourceWriteSuccess", "ResourceWritten", "no event type"),
        (FILE, "virtualHubs/bgpConnections/write", "virtualHubs/routeMaps/write", "virtualHubs/routeMaps is nobody's"),
        (FILE, "key: 'data.operationName'", "key: 'data.operation'", "filters look at something else"),
        (FILE, "@maxLength(4)", "@maxLength(20)", "too many values"),
        (FILE, "deadLetterWithResourceIdentity:", "deadLetterDestination:", "dead letters need an identity"),
        ("main.bicep", "'on_resource_event'", "'on_resource_events'", "no function on_resource_events"),
    ],
)
def test_a_subscription_that_hears_nothing_or_too_much_is_named(name: str, old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in problems(planted(name, old, new)))


def test_containers_and_queues_have_the_names_that_the_app_uses() -> None:
    wiring = (ROOT / "function_app" / "wiring.py").read_text()
    names = dict(re.findall(r'(?m)^(CONTAINER|WAKE_UP_QUEUE) = "([\w-]+)"', wiring))
    variables = parsed(files())["modules/storage.bicep"].variables()
    assert names["CONTAINER"] in set(strings(variables["containers"]))
    assert {names["WAKE_UP_QUEUE"], f"{names['WAKE_UP_QUEUE']}-poison"} == set(strings(variables["queues"]))


def test_the_action_group_calls_a_function_by_its_name_and_route() -> None:
    (group,) = (each for each in parsed(files())["modules/alerts.bicep"].resources() if "actionGroups" in each.type)
    receiver = "properties.azureFunctionReceivers[]"
    assert group.values[f"{receiver}.functionName"] == ("on_alert",)
    assert "on_alert" in functions()
    assert "/api/alerts?code=" in group.values[f"{receiver}.httpTriggerUrl"][0]
    assert 'route="alerts"' in (ROOT / "function_app" / "triggers" / "health_alerts.py").read_text()
