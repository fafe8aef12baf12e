"""ARM's token buckets per subscription: what is left, and when to come back when nothing is.

Numbers from the ARM throttling documentation (token bucket, per subscription and principal; the simulator has one
principal). They refill faster by the time factor, as everything else happens faster by it.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from simulator.clock import Pace


@dataclass(frozen=True, slots=True)
class BucketSize:
    capacity: float
    per_second: float


SIZES = {
    "reads": BucketSize(250, 25),
    "writes": BucketSize(200, 10),
    "deletes": BucketSize(200, 10),
}


class Throttle:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._levels: dict[tuple[str, str], tuple[float, datetime]] = {}

    def take(self, subscription: str, kind: str, now: datetime) -> tuple[int, int]:
        """(tokens left, 0), or (0, whole seconds to wait) when the bucket is dry."""
        size = SIZES[kind]
        rate = size.per_second * self._pace.factor
        level, since = self._levels.get((subscription.lower(), kind), (size.capacity, now))
        level = min(size.capacity, level + (now - since).total_seconds() * rate)
        if level < 1:
            self._levels[subscription.lower(), kind] = (level, now)
            return 0, max(1, math.ceil((1 - level) / rate))
        self._levels[subscription.lower(), kind] = (level - 1, now)
        return int(level - 1), 0

    def drain(self, subscription: str, kind: str, now: datetime) -> None:
        """Leave the bucket dry, as another client of the same principal would."""
        self._levels[subscription.lower(), kind] = (0.0, now)
