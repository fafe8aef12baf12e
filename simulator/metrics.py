"""Platform metrics as the world keeps them: what was true from when on, and its one-minute aggregates.

A series is a step function; an interval's average is weighted by time. Aggregates are visible only after a delay, as
Azure's are. The wire format is `monitor.py`'s.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.resources import key_of


@dataclass(frozen=True, slots=True)
class Span:
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Aggregate:
    start: datetime
    average: float
    minimum: float
    maximum: float


type Dimensions = tuple[tuple[str, str], ...]


class MetricStore:
    def __init__(self) -> None:
        self._series: dict[tuple[str, str], dict[Dimensions, list[tuple[datetime, float]]]] = {}

    def record(self, resource_id: str, metric: str, dimensions: Dimensions, at: datetime, value: float) -> None:
        """From `at` on the value is `value`. A repetition changes nothing."""
        steps = self._series.setdefault((key_of(resource_id), metric.lower()), {}).setdefault(dimensions, [])
        if not steps or steps[-1][1] != value:
            steps.append((at, value))

    def dimensions(self, resource_id: str, metric: str) -> list[Dimensions]:
        return sorted(self._series.get((key_of(resource_id), metric.lower()), {}))

    def aggregates(
        self, resource_id: str, metric: str, chosen: list[Dimensions], span: Span, interval: timedelta
    ) -> list[Aggregate]:
        """Whole intervals inside the span, all chosen series taken together; intervals without a value are left out."""
        series = self._series.get((key_of(resource_id), metric.lower()), {})
        found = []
        start = _aligned(span.start, interval)
        # An hour of one-minute intervals at the most common factor (40) is 2,400; a day unscaled is 1,440.
        for _ in range(10_000):
            end = start + interval
            if end > span.end:
                break
            pieces = [piece for dims in chosen for piece in _pieces(series.get(dims, []), start, end)]
            seconds = sum(length for length, _ in pieces)
            if seconds > 0:
                values = [value for _, value in pieces]
                low, high = min(values), max(values)
                average = sum(length * value for length, value in pieces) / seconds
                # Rounding must not make an average of 100s more than 100.
                found.append(Aggregate(start, min(max(average, low), high), low, high))
            start = end
        return found


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def whole_intervals_until(moment: datetime, interval: timedelta) -> datetime:
    """The last multiple of the interval since the epoch that is not after `moment`."""
    return EPOCH + ((moment - EPOCH) // interval) * interval


def _aligned(moment: datetime, interval: timedelta) -> datetime:
    """The first multiple of the interval since the epoch that is not before `moment`."""
    return EPOCH - ((EPOCH - moment) // interval) * interval


def _pieces(steps: list[tuple[datetime, float]], start: datetime, end: datetime) -> list[tuple[float, float]]:
    """(seconds, value) of each stretch of the step function between `start` and `end`."""
    pieces = []
    first = max(bisect_right(steps, start, key=lambda step: step[0]) - 1, 0)
    for position in range(first, len(steps)):
        since, value = steps[position]
        until = steps[position + 1][0] if position + 1 < len(steps) else end
        length = (min(until, end) - max(since, start)).total_seconds()
        if length > 0:
            pieces.append((length, value))
        if until >= end:
            break
    return pieces
