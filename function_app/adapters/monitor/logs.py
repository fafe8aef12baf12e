"""Load-balancer health events from Log Analytics (table ALBHealthEvent): explanations only, never on the failover path.

Azure writes one at most every few minutes while its cause lasts, and the table is minutes behind.
"""

import logging
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, cast

from function_app.adapters.arm.client import Azure, Closable, calling
from function_app.reconcile.ports import HealthEvent

log = logging.getLogger("hopkeeper.azure")
LOGS_SDK = "azure.monitor.query.aio"
EVENTS_MAX = 50  # an explanation needs the latest few
# Columns of https://learn.microsoft.com/azure/azure-monitor/reference/tables/albhealthevent
COLUMNS = ("TimeGenerated", "HealthEventType", "Description")


class HealthLogsOverLogAnalytics:
    def __init__(self, azure: Azure, workspace: str, endpoint: str = "https://api.loganalytics.io") -> None:
        """`workspace` is the workspace's id (a GUID), not its resource id."""
        self._azure = azure
        self._workspace = workspace
        self._endpoint = endpoint

    async def recent(self, load_balancer: str, since: timedelta) -> tuple[HealthEvent, ...]:
        """The latest events of the load balancer (a resource id) within `since`, newest first. Raises Unavailable."""
        async with calling(f"reading the health events of {load_balancer}", self._azure.cloud.timeout):
            client = await self._azure.client(LOGS_SDK, self._endpoint, self._make)
            result = await client.query_workspace(self._workspace, _query(load_balancer), timespan=since)
            tables = getattr(result, "tables", None) or getattr(result, "partial_data", None) or ()
            rows = [tuple(row) for table in tables for row in table.rows]
        events = tuple(event for row in rows if (event := _event(row)) is not None)
        if len(events) < len(rows):
            log.warning("%d of %d health events have no time and were left out", len(rows) - len(events), len(rows))
        return events

    def _make(self, sdk: ModuleType, credential: Any) -> Closable:
        options = {"endpoint": self._endpoint, **self._azure.options}
        return cast(Closable, sdk.LogsQueryClient(credential, **options))


class HealthLogsUnread:
    """Where no workspace is configured: there is nothing to explain with."""

    async def recent(self, load_balancer: str, since: timedelta) -> tuple[HealthEvent, ...]:
        return ()


def _query(load_balancer: str) -> str:
    literal = load_balancer.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'ALBHealthEvent | where LoadBalancerResourceId =~ "{literal}" | project {", ".join(COLUMNS)}'
        f" | order by TimeGenerated desc | take {EVENTS_MAX}"
    )


def _event(row: tuple[Any, ...]) -> HealthEvent | None:
    """A row in the order of COLUMNS, whatever names it carries; None for one without a time."""
    at, kind, description = (*row, None, None, None)[: len(COLUMNS)]
    if not isinstance(at, datetime):
        return None
    return HealthEvent(at if at.tzinfo else at.replace(tzinfo=UTC), str(kind or ""), str(description or ""))
