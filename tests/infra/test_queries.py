"""Every query that is deployed or sent parses: by Microsoft's own parser of KQL, against the tables that Azure documents."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import fields

from function_app.adapters.monitor import logs as health_logs
from function_app.reconcile.documents.lines import PassLine, StateLine
from tests.infra.compiler import ROOT
from tests.infra.deployments import DEPLOYMENTS, snapshot

SERVICE = ROOT / "build" / "node" / "node_modules" / "@kusto" / "language-service-next"
NO_SERVICE = "no Kusto language service"
"""The reason of every test that is skipped for want of one, or of Node."""
COMMON = """
    timestamp: datetime, itemId: string, itemType: string, itemCount: int, customDimensions: dynamic,
    customMeasurements: dynamic, operation_Name: string, operation_Id: string, operation_ParentId: string,
    operation_SyntheticSource: string, session_Id: string, user_Id: string, user_AuthenticatedId: string,
    user_AccountId: string, application_Version: string, client_Type: string, client_Model: string, client_OS: string,
    client_IP: string, client_City: string, client_StateOrProvince: string, client_CountryOrRegion: string,
    client_Browser: string, cloud_RoleName: string, cloud_RoleInstance: string, appId: string, appName: string,
    iKey: string, sdkVersion: string"""
OF_A_WORKSPACE = """
    TimeGenerated: datetime, TenantId: string, Type: string, SourceSystem: string, _ResourceId: string,
    _SubscriptionId: string, _BilledSize: real, _IsBillable: string"""
OF_APPLICATION_INSIGHTS = f"""{OF_A_WORKSPACE},
    ItemCount: int, Properties: dynamic, Measurements: dynamic, OperationName: string, OperationId: string,
    ParentId: string, SyntheticSource: string, AppRoleName: string, AppRoleInstance: string, AppVersion: string"""
# Of a component, as it is queried: "Migrate to workspace-based Application Insights resources", its tables of names and types
# (`success` of requests is a string there, and a bool in the workspace). Of a workspace: "Azure Monitor Logs reference".
TABLES = {
    "requests": f"""({COMMON}, id: string, source: string, name: string, url: string, success: string,
        resultCode: string, duration: real, performanceBucket: string)""",
    "traces": f"({COMMON}, message: string, severityLevel: int)",
    "exceptions": f"""({COMMON}, problemId: string, handledAt: string, type: string, assembly: string, method: string,
        message: string, outerType: string, outerMessage: string, innermostType: string, innermostMessage: string,
        severityLevel: int, details: dynamic)""",
    "customEvents": f"({COMMON}, name: string)",
    "AppRequests": f"""({OF_APPLICATION_INSIGHTS}, Id: string, Source: string, Name: string, Url: string, Success: bool,
        ResultCode: string, DurationMs: real, PerformanceBucket: string)""",
    "AppTraces": f"({OF_APPLICATION_INSIGHTS}, Message: string, SeverityLevel: int)",
    "ALBHealthEvent": f"""({OF_A_WORKSPACE}, Description: string, FrontendIP: string, HealthEventType: string,
        LoadBalancerResourceId: string, operationName: string, Severity: string)""",
}


def queries_in(value: Any) -> Iterator[str]:
    """Every query below a value, and in the JSON that workbooks hold as text."""
    match value:
        case dict():
            for key, inner in value.items():
                if key == "query" and isinstance(inner, str):
                    yield inner
                elif key == "serializedData":
                    yield from queries_in(json.loads(inner))
                else:
                    yield from queries_in(inner)
        case list() | tuple():
            for inner in value:
                yield from queries_in(inner)


def said(*queries: str) -> list[list[str]]:
    """Skips the test without Node or the parser."""
    node = shutil.which("node")
    if node is None or not SERVICE.is_dir():
        pytest.skip(NO_SERVICE)
    script = ROOT / "tests" / "infra" / "queries.mjs"
    given = json.dumps({"tables": TABLES, "queries": queries})
    done = subprocess.run([node, script, SERVICE], input=given, capture_output=True, text=True, check=True)
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_every_query_that_is_deployed_or_sent_is_one() -> None:
    again = [snapshot(deployment) for deployment in DEPLOYMENTS if deployment.startswith("again")]
    deployed = sorted({query for its in again for query in queries_in(its.made)})
    assert deployed != []
    queries = (*deployed, health_logs._query('/subscriptions/s/a "quoted" \\ id'))
    assert {query: found for query, found in zip(queries, said(*queries), strict=True) if found} == {}


LINES = {"state {": StateLine, "pass {": PassLine}
"""What a query reads of the app's own log, by how such a line begins."""


def strangers(query: str) -> set[str]:
    """The keys that a query reads of a line and that no such line has."""
    kinds = [kind for start, kind in LINES.items() if f'startswith "{start}"' in query]
    known = {field.encode_name for kind in kinds for field in fields(kind)}
    return set(re.findall(r"\bline\.(\w+)", query)) - known


def test_queries_of_the_app_s_log_read_what_is_logged_and_cut_it_where_it_begins() -> None:
    again = [snapshot(deployment) for deployment in DEPLOYMENTS if deployment.startswith("again")]
    ours = {query for its in again for query in queries_in(its.made) if "parse_json(substring(Message" in query}
    assert len(ours) >= 10
    assert {query: found for query in ours if (found := strangers(query))} == {}
    for query in ours:
        (start,) = (start for start in LINES if f'startswith "{start}"' in query)
        assert f"substring(Message, {len(start) - 1})" in query


def test_a_key_that_no_line_has_is_named() -> None:
    assert strangers('AppTraces | where Message startswith "state {" | project line.holder, line.leader') == {"leader"}
    assert strangers('AppTraces | where Message startswith "pass {" | project line.holder') == {"holder"}


def test_a_query_that_is_none_is_named_for_a_name_a_type_and_its_form() -> None:
    """Within a workbook, too; the type of a column counts, which is another in the workspace."""
    workbook = {"serializedData": json.dumps({"items": [{"content": {"query": "requests | where success"}}]})}
    wrong = {
        "requests | where timestmp > ago(5m)": "KS142 The name 'timestmp' does not refer to any known column",
        "request | count": "The name 'request' does not refer to any known",
        "requests | where timestamp > ago(5m": "KS005 Expected: )",
        next(queries_in([workbook])): "KS141 The expression must have the type bool",
    }
    for named, found in zip(wrong.values(), said(*wrong), strict=True):
        assert any(named in each for each in found), (named, found)
    assert said("AppRequests | where Success") == [[]]
