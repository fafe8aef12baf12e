"""The subscription to Azure's events reaches a function that is there, and filters for what concerns a topology."""

import re

import pytest

from tests.infra.compiler import GROUP, ROOT, Snapshot, at
from tests.infra.deployments import DEPLOYMENTS, EVERYTHING, FIRST, LISTS, TOPIC_OF_OTHERS, app_name, snapshot

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
SUBSCRIPTION, TOPIC = "Microsoft.EventGrid/systemTopics/eventSubscriptions", "Microsoft.EventGrid/systemTopics"
ACTIONS = "Microsoft.Insights/actionGroups"
AGAIN = [each for each in DEPLOYMENTS if each.startswith("again")]


def functions() -> set[str]:
    triggers = (ROOT / "function_app" / "triggers").glob("*.py")
    return {name for path in triggers for name in re.findall(r"(?m)^async def (\w+)\(", path.read_text())}


def problems(its: Snapshot) -> list[str]:
    events = its.one(SUBSCRIPTION)["properties"]
    filters = {each["key"]: each["values"] for each in at(events, "filter.advancedFilters")}
    operations = filters.get("data.operationName", [])
    kinds = {re.sub(r"/(write|delete|\w+/action)$", "", each) for each in operations}
    app, _, function = at(events, "destination.properties.resourceId").partition("/functions/")
    found = [f"no event type {each}" for each in sorted(set(at(events, "filter.includedEventTypes")) - EVENT_TYPES)]
    found += [f"{each} concerns no topology" for each in sorted(kinds - WATCHED)]
    found += [f"{each} is not watched" for each in sorted(WATCHED - kinds)]
    found += [] if function in functions() else [f"no function {function}"]
    found += [] if app == its.one("Microsoft.Web/sites")["id"] else ["another app is notified"]
    if not set(filters) <= {"data.operationName", "subject"}:
        found.append("filters look at something else")
    if sum(map(len, filters.values())) > FILTER_VALUES_MAX:
        found.append("too many values in filters")
    if at(events, "deadLetterWithResourceIdentity.identity.type") != "SystemAssigned":
        found.append("dead letters need an identity: the account has no keys")
    letters = at(events, "deadLetterWithResourceIdentity.deadLetterDestination.properties.blobContainerName")
    found += [] if letters in containers(its) else [f"no container {letters}"]
    return found


def containers(its: Snapshot) -> set[str]:
    made = its.resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    return {each["name"].rpartition("/")[2] for each in made}


@pytest.mark.parametrize("deployment", AGAIN)
def test_events_reach_the_function_and_concern_a_topology(deployment: str) -> None:
    assert problems(snapshot(deployment)) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ResourceWriteSuccess", "ResourceWritten", "no event type"),
        ("virtualHubs/bgpConnections/write", "virtualHubs/routeMaps/write", "virtualHubs/routeMaps concerns no topology"),
        ('"data.operationName"', '"data.operation"', "filters look at something else"),
        ('"values": ["/subs', f'"values": [{'"x", ' * 5}"/subs', "too many values"),
        ('"deadLetterWithResourceIdentity"', '"deadLetterDestination"', "dead letters need an identity"),
        ('"dead-letters"', '"letters"', "no container letters"),
        ("/functions/on_resource_event", "/functions/on_resource_events", "no function on_resource_events"),
        ('-hopkeeper-66jjtn5x4dgie/functions/on_r', "-other/functions/on_r", "another app is notified"),
    ],
)  # fmt: skip
def test_a_subscription_that_hears_nothing_or_too_much_is_named(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in problems(snapshot(EVERYTHING).replaced(old, new)))


def passes(its: Snapshot, subject: str, operation: str) -> bool:
    """Whether an event reaches the function: every filter must let it through ("Event filtering for Event Grid")."""
    filters = at(its.one(SUBSCRIPTION)["properties"], "filter")
    values = {"data.operationName": operation, "subject": subject}
    tests = {
        "StringIn": lambda value, wanted: value in wanted,
        "StringBeginsWith": lambda value, wanted: value.startswith(tuple(wanted)),
    }
    return subject.lower().startswith(filters["subjectBeginsWith"].lower()) and all(
        tests[each["operatorType"]](values[each["key"]].lower(), [one.lower() for one in each["values"]])
        for each in filters["advancedFilters"]
    )


WRITES = [
    *((each, "Microsoft.Network/virtualHubs/write") for each in LISTS["HOPKEEPER_ROUTE_SERVERS"].split(",")[:1]),
    (LISTS["HOPKEEPER_LOAD_BALANCERS"], "Microsoft.Network/loadBalancers/write"),
    (LISTS["HOPKEEPER_INTERFACES"], "Microsoft.Network/networkInterfaces/write"),
    (LISTS["HOPKEEPER_VIRTUAL_MACHINES"], "Microsoft.Compute/virtualMachines/restart/action"),
    (LISTS["HOPKEEPER_SCALE_SETS"], "Microsoft.Compute/virtualMachineScaleSets/write"),
    *(
        (f"{LISTS[each]}/virtualNetworkPeerings/p", "Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write")
        for each in ("HOPKEEPER_PEERED_NETWORKS", "HOPKEEPER_OWNED_PEERING_NETWORKS")
    ),
]


@pytest.mark.parametrize(("resource", "operation"), WRITES, ids=[operation for _, operation in WRITES])
def test_an_event_of_everything_that_is_named_passes_every_filter(resource: str, operation: str) -> None:
    """Those of other subscriptions are on topics of theirs: the sweep finds what changed there."""
    assert passes(snapshot(EVERYTHING), resource, operation)
    assert not passes(snapshot(EVERYTHING), resource.replace("0000-", "1111-"), operation)


@pytest.mark.parametrize("deployment", [each for each in DEPLOYMENTS if each.startswith("first")])
def test_nothing_refers_to_a_function_before_there_is_one(deployment: str) -> None:
    """Event Grid refuses a subscription to a function that is not there, and it has no key to be called with."""
    its = snapshot(deployment)
    assert its.resources(SUBSCRIPTION) == []
    assert at(its.one(ACTIONS), "properties.azureFunctionReceivers") == []


def test_a_topic_of_others_is_used_where_it_is() -> None:
    """A subscription has one topic of this kind at most: "System topics in Azure Event Grid"."""
    assert len(snapshot(EVERYTHING).resources(TOPIC)) == 1
    its = snapshot(TOPIC_OF_OTHERS)
    assert its.resources(TOPIC) == []
    assert f"/resourceGroups/rg-security/providers/{TOPIC}/evgt-subscription/" in its.one(SUBSCRIPTION)["id"]
    (letters,) = [
        each
        for each in its.resources("Microsoft.Authorization/roleAssignments")
        if "/systemTopics/evgt-subscription'" in at(each, "properties.principalId")
    ]
    assert f"/resourceGroups/{GROUP}/" in letters["id"]


@pytest.mark.parametrize("deployment", AGAIN)
def test_two_hopkeepers_do_not_overwrite_each_others_settings(deployment: str) -> None:
    its = snapshot(deployment)
    others = [*its.resources(SUBSCRIPTION), *its.resources("Microsoft.Insights/diagnosticSettings")]
    assert [each["name"] for each in others if not each["name"].endswith(app_name(its))] == []


def test_containers_and_queues_have_the_names_that_the_app_uses() -> None:
    wiring = (ROOT / "function_app" / "wiring.py").read_text()
    names = dict(re.findall(r'(?m)^(CONTAINER|WAKE_UP_QUEUE) = "([\w-]+)"', wiring))
    its = snapshot(FIRST)
    queues = {
        each["name"].rpartition("/")[2]
        for each in its.resources("Microsoft.Storage/storageAccounts/queueServices/queues")
    }
    assert names["CONTAINER"] in containers(its)
    assert {names["WAKE_UP_QUEUE"], f"{names['WAKE_UP_QUEUE']}-poison"} == queues


def wrong_key(its: Snapshot) -> list[str]:
    """A receiver that calls another function or route, or with a key that opens more than the one function."""
    (receiver,) = at(its.one(ACTIONS), "properties.azureFunctionReceivers")
    url, app = receiver["httpTriggerUrl"], its.one("Microsoft.Web/sites")["id"]
    keys = re.findall(r"listKeys\('([^']+)'", url)
    found = [] if receiver["functionName"] in functions() else [f"no function {receiver['functionName']}"]
    found += [] if "/api/alerts?code=" in url else ["another route"]
    return found + ([] if keys == [f"{app}/functions/{receiver['functionName']}"] else [f"a key of {keys}"])


@pytest.mark.parametrize("deployment", AGAIN)
def test_the_action_group_calls_one_function_with_the_key_of_that_function(deployment: str) -> None:
    assert wrong_key(snapshot(deployment)) == []
    assert 'route="alerts"' in (ROOT / "function_app" / "triggers" / "health_alerts.py").read_text()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("/functions/on_alert'", "/host/default'", "a key of"),
        ('"functionName": "on_alert"', '"functionName": "on_alarm"', "no function on_alarm"),
        ("/api/alerts?", "/api/alert?", "another route"),
    ],
)
def test_a_call_that_is_refused_or_opens_too_much_is_named(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in wrong_key(snapshot(EVERYTHING).replaced(old, new)))
