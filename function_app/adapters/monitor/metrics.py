"""DipAvailability of a load balancer's backends from Azure Monitor: evidence beside others, never the detector.

It reflects our own adminState as well as the probe (safety.md, finding 7): a member that we fenced reads BAD here.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from itertools import chain
from types import ModuleType
from typing import Any, cast

from function_app.adapters.arm.client import Azure, Closable, calling
from function_app.domain.service.observation import Value
from function_app.reconcile.ports import Clock

METRICS_SDK = "azure.monitor.querymetrics.aio"
NAMESPACE = "Microsoft.Network/loadBalancers"
METRIC = "DipAvailability"
DIMENSION = "BackendIPAddress"
GRAIN = timedelta(minutes=1)  # what Azure aggregates this metric by
FRESH = timedelta(minutes=3)  # an interval that ended longer ago is stale (safety.md section 4)


class MetricsOverMonitor:
    def __init__(self, azure: Azure, endpoint: str, clock: Clock) -> None:
        """`endpoint` is the region's: `https://uksouth.metrics.monitor.azure.com`."""
        self._azure = azure
        self._endpoint = endpoint
        self._clock = clock

    async def probe_availability(
        self, load_balancer: str, addresses: tuple[IPv4Address, ...]
    ) -> Mapping[IPv4Address, Value]:
        """The newest interval of the last minutes for each address. Raises Unavailable.

        100 is OK and 0 is BAD; between them the majority of the interval's probes counts, and half and half is UNKNOWN.
        """
        if not addresses:
            return {}
        now = self._clock.now()
        query: dict[str, Any] = {
            "resource_ids": [load_balancer],
            "metric_namespace": NAMESPACE,
            "metric_names": [METRIC],
            "timespan": (now - FRESH - GRAIN, now),
            "granularity": GRAIN,
            "aggregations": ["Average"],
            "filter": " or ".join(f"{DIMENSION} eq '{address}'" for address in addresses),
            "max_results": len(addresses),  # with a filter Monitor answers only ten series otherwise
        }
        async with calling(f"reading {METRIC} of {load_balancer}", self._azure.cloud.timeout):
            client = await self._azure.client(METRICS_SDK, self._endpoint, self._make)
            results = await client.query_resources(**query)
            newest = _newest(results, now - FRESH - GRAIN)
        return {address: _judged(newest.get(str(address))) for address in addresses}

    def _make(self, sdk: ModuleType, credential: Any) -> Closable:
        return cast(Closable, sdk.MetricsClient(self._endpoint, credential, **self._azure.options))


class MetricsUnread:
    """Where no endpoint is configured: nothing is known."""

    async def probe_availability(
        self, load_balancer: str, addresses: tuple[IPv4Address, ...]
    ) -> Mapping[IPv4Address, Value]:
        return dict.fromkeys(addresses, Value.UNKNOWN)


def _newest(results: Any, since: datetime) -> dict[str, float]:
    """The newest average of each series by its address; intervals that began before `since` or have none are left out."""
    newest: dict[str, float] = {}
    for metric in chain.from_iterable(result.metrics for result in results):
        for series in metric.timeseries:
            labels = {str(name).casefold(): value for name, value in series.metadata_values.items()}
            average = _newest_average(series.data, since)
            if average is not None and (address := labels.get(DIMENSION.casefold())):
                newest[address] = average
    return newest


def _newest_average(points: Any, since: datetime) -> float | None:
    fresh = [p for p in points if p.average is not None and p.timestamp and p.timestamp >= since]
    return max(fresh, key=lambda point: point.timestamp).average if fresh else None


def _judged(average: float | None) -> Value:
    if average is None or average == 50:
        return Value.UNKNOWN
    return Value.OK if average > 50 else Value.BAD
