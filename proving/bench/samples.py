"""Raw samples of a case and of its floor, and its row of the table."""

import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

HEAD = (
    "| case | unit | n | ours least | p50 | max | floor least | p50 | max | ratio of p50 |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


@dataclass(slots=True)
class Case:
    """`ours` and `floor` are in `unit`, in the order in which they were taken, by turns."""

    name: str
    unit: str = "ms"
    ours: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        where = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "load": round(os.getloadavg()[0], 2)}
        return {"case": self.name, "unit": self.unit, **where, "ours": self.ours, "floor": self.floor}

    def row(self) -> str:
        both = [(min(each), median(each), max(each)) for each in (self.ours, self.floor)]
        shown = " | ".join(_shown(value) for each in both for value in each)
        ratio = both[0][1] / both[1][1]
        return f"| {self.name} | {self.unit} | {len(self.ours)} | {shown} | {ratio:,.{2 if ratio < 100 else 0}f} |"


def median(values: list[float]) -> float:
    """The one in the middle, of two the lower."""
    return sorted(values)[(len(values) - 1) // 2]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


async def ms(work: Awaitable[object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000
