"""The operating guide names what the template has: its variables, parameters, scope, and what it costs."""

import re
from collections.abc import Mapping

import pytest

from tests.infra.compiler import INFRA, ROOT, Snapshot, at
from tests.infra.deployments import snapshot

GUIDE = (ROOT / "docs" / "operating.md").read_text()
FILE = (INFRA / "main.bicepparam").read_text()
TEMPLATE = (INFRA / "main.bicep").read_text()
# Read by azd itself, for itself: "Azure Developer CLI environment variables".
OF_AZD = {"AZURE_RESOURCE_GROUP", "AZURE_ENV_NAME", "AZURE_SUBSCRIPTION_ID"}
NOT_BY_AZD = {"signingKey": "azd keeps its values in plain text: the hook puts the key into the vault itself"}
"""Parameters that cannot be set with azd, each with why."""


def parameters(content: str) -> set[str]:
    return set(re.findall(r"(?m)^param (\w+)\b", content))


def reads(content: str) -> dict[str, set[str]]:
    """The variables that each parameter of a parameter file is made of."""
    pieces = re.split(r"(?m)^param (\w+)\b", content)[1:]
    return {
        name: set(re.findall(r"readEnvironmentVariable\(\s*'(\w+)'", expression))
        for name, expression in zip(pieces[::2], pieces[1::2], strict=True)
    }


def rows(guide: str, heading: str) -> list[list[str]]:
    """Cells of the rows of the table whose first column is headed so."""
    (table,) = re.findall(rf"(?m)^\| {heading} \|.*\n\|[-|: ]+\n((?:\|.*\n)+)", guide)
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def misnamed(guide: str, file: str, template: str) -> list[str]:
    """Variables and parameters that one of the three does not know of."""
    read, declared = reads(file), parameters(template)
    variables = set().union(*read.values())
    table = [(quoted(row[0]), quoted(row[1])) for row in rows(guide, "variable")]
    named = set().union(*(row[0] for row in table))
    found = [f"{name} is read and not in the guide" for name in sorted(variables - named)]
    found += [f"{name} is in the guide and not read" for name in sorted(named - variables - OF_AZD)]
    found += [f"{name} cannot be set with azd" for name in sorted(declared - set(read) - set(NOT_BY_AZD))]
    found += unset(table, read, declared)
    settable = set(read) | set(NOT_BY_AZD)
    found += [f"`{name}` cannot be set with azd" for name in sorted(declared & set(quoted(guide)) - settable)]
    return found + unread(set(re.findall(r"\bHOPKEEPER_[A-Z_]+\b", guide)) - variables)


def unset(table: list[tuple[list[str], list[str]]], read: Mapping[str, set[str]], declared: set[str]) -> list[str]:
    """Of the table's rows: parameters that are not there, or that another variable sets."""
    pairs = [(its, name) for its, names in table for name in names]
    found = [f"there is no parameter {name}" for _, name in pairs if name not in declared]
    known = [(its, name) for its, name in pairs if name in read]
    return found + [f"{name} is not set by {' or '.join(its)}" for its, name in known if not read[name] & set(its)]


def unread(settings: set[str]) -> list[str]:
    """Settings that the app's code does not name either."""
    code = "".join(path.read_text() for path in (ROOT / "function_app").rglob("*.py"))
    return [f"{name} is read nowhere" for name in sorted(settings) if name not in code]


def test_what_the_guide_names_can_be_set_and_what_can_be_set_is_named() -> None:
    assert misnamed(GUIDE, FILE, TEMPLATE) == []
    assert set(NOT_BY_AZD) <= parameters(TEMPLATE)


def test_what_only_one_of_them_names_is_reported() -> None:
    def wrong(guide: str = GUIDE, file: str = FILE, template: str = TEMPLATE) -> list[str]:
        return misnamed(guide, file, template)

    variable = "HOPKEEPER_ALERT_EMAILS"
    assert f"{variable} is read and not in the guide" in wrong(GUIDE.replace(variable, "HOPKEEPER_EMAILS"))
    assert "HOPKEEPER_EMAILS is in the guide and not read" in wrong(GUIDE.replace(variable, "HOPKEEPER_EMAILS"))
    assert "alertEmails cannot be set with azd" in wrong(file=re.sub(r"(?m)^param alertEmails.*\n", "", FILE))
    assert "there is no parameter alertEmails" in wrong(template=TEMPLATE.replace("param alertEmails", "param mails"))
    assert f"observeOnly is not set by {variable}" in wrong(GUIDE.replace("`HOPKEEPER_OBSERVE_ONLY`", f"`{variable}`"))
    assert "HOPKEEPER_NOVELTY is read nowhere" in wrong(f"{GUIDE}\nset HOPKEEPER_NOVELTY")


def scopes(*texts: str) -> set[str]:
    return {
        verb for text in texts for verb in re.findall(r"az deployment (\w+) (?:create|show|validate|what-if)", text)
    }


def test_the_documented_deployment_has_the_templates_scope() -> None:
    documents = [*(ROOT / "docs").rglob("*.md"), *INFRA.rglob("*.md"), *INFRA.rglob("*.bicepparam"), ROOT / "README.md"]
    templates = [TEMPLATE, (INFRA / "lab" / "main.bicep").read_text()]
    (scope,) = {re.findall(r"(?m)^targetScope = '(\w+)'", content)[0] for content in templates}
    verb = {"resourceGroup": "group", "subscription": "sub"}[scope]
    assert scopes(*(path.read_text() for path in documents)) == {verb}
    assert scopes("az deployment sub create") == {"sub"} != {verb}


# --- what it costs

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
EXAMPLE = "again, examples/single-hub.bicepparam"  # the deployment that the table reckons with


def said(part: str, guide: str = GUIDE) -> list[int]:
    """The counts in the row whose part begins so: a word in the part, else the numbers that stand before what is counted."""
    (row,) = [cells for cells in rows(guide, "part") if re.match(rf"(?:{'|'.join(NUMBERS)})? ?{part}", cells[0])]
    first = row[0].split()[0]
    if first in NUMBERS:
        return [NUMBERS.index(first)]
    return [int(found) for found in re.findall(r"(?:^|\+ )(\d+) ", row[1])]


def series(its: Snapshot) -> int:
    """Of the metric alerts: one each, and one for each peer where they are split by peer: the NVAs."""
    nvas = len(at(its.one("Microsoft.Insights/activityLogAlerts"), "properties.scopes"))
    rules = [at(each, "properties.criteria.allOf.0") for each in its.resources("Microsoft.Insights/metricAlerts")]
    return sum(nvas if rule.get("dimensions") else 1 for rule in rules)


def miscounted(its: Snapshot, guide: str = GUIDE) -> list[str]:
    app = at(its.one("Microsoft.Web/sites"), "properties.functionAppConfig.scaleAndConcurrency")
    network = "Microsoft.Network/"
    made = {
        "always-ready": [each["instanceCount"] for each in app["alwaysReady"]],
        "private endpoints": [len(its.resources(f"{network}privateEndpoints"))],
        "private DNS zones": [len(its.resources(f"{network}privateDnsZones"))],
        "alerts": [series(its), len(its.resources("Microsoft.Insights/scheduledQueryRules"))],
    }
    found = [
        f"{part}: {said(part, guide)}, and there are {its}" for part, its in made.items() if said(part, guide) != its
    ]
    for part, kind in (("NAT gateway", "natGateways"), ("NAT gateway and its address", "publicIPAddresses")):
        listed, there = (sum(part in row[0] for row in rows(guide, "part")), len(its.resources(network + kind)))
        found += [] if listed == there else [f"{part}: {listed}, and there are {there}"]
    return found


def test_the_cost_table_counts_what_is_made() -> None:
    assert miscounted(snapshot(EXAMPLE)) == []


def test_the_cost_table_adds_up() -> None:
    *parts, (_, _, together) = rows(GUIDE, "part")
    assert round(sum(float(row[2]) for row in parts)) == int(together.strip("*"))


@pytest.mark.parametrize(
    ("type_", "named", "part"),
    [
        ("Microsoft.Network/privateEndpoints", "pe-table", "private endpoints"),
        ("Microsoft.Network/natGateways", "", "NAT gateway"),
        ("Microsoft.Insights/metricAlerts", "routes-gone", "alerts"),
        ("Microsoft.Insights/scheduledQueryRules", "", "alerts"),
    ],
)
def test_a_cost_that_is_counted_and_not_made_is_reported(type_: str, named: str, part: str) -> None:
    assert any(fault.startswith(part) for fault in miscounted(snapshot(EXAMPLE).without(type_, named)))
