"""What a soak measures of the host and the agents while they live: memory and open handles, and whether these stay flat."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

EVERY = 1.0
"""Seconds between two samples."""
WARM = 5
"""Samples of a process that do not count: it still imports and connects."""
ENOUGH = 16
"""Samples after those without which a life is too short for a verdict."""
RSS_FACTOR, RSS_SLACK_MB = 1.1, 8.0
"""Memory may end a tenth and 8 MB above its beginning: caches fill, and what a flood took is not given back to the system at
once. What is kept of each request or pass outgrows both within the hour."""
HANDLES_SLACK = 32
"""Handles may end so many above: the app keeps a connection for a while to each of two agents, and to the simulator, for each
pass that was under way at once, and a flood makes eight of them. One that is leaked by each pass or request is far above that
within minutes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one process with its children."""

    rss_mb: float
    handles: int


@dataclass(frozen=True, slots=True)
class Life:
    """How one process began and ended: medians of the first quarter of its samples, and of the last."""

    samples: int
    rss_mb: tuple[float, float]
    handles: tuple[float, float]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Self | None:
        """None where there are too few."""
        if len(counted := samples[WARM:]) < ENOUGH:
            return None
        rss, handles = _ends([each.rss_mb for each in counted]), _ends([each.handles for each in counted])
        return cls(len(counted), rss, handles)

    @property
    def grew(self) -> tuple[str, ...]:
        """What did not stay flat."""
        (rss, rss_end), (handles, handles_end) = self.rss_mb, self.handles
        found = [
            (rss_end > rss * RSS_FACTOR + RSS_SLACK_MB, f"memory grew from {rss:.1f} to {rss_end:.1f} MB"),
            (handles_end > handles + HANDLES_SLACK, f"open handles grew from {handles:g} to {handles_end:g}"),
        ]
        return tuple(what for grown, what in found if grown)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    quarter = len(values) // 4
    return round(float(median(values[:quarter])), 1), round(float(median(values[-quarter:])), 1)


@dataclass
class Meter:
    """Samples until it is cancelled. `running` gives each program's process id; a new id begins a new life."""

    running: Callable[[], Mapping[str, int]]
    lives: dict[tuple[str, int], list[Sample]] = field(default_factory=lambda: defaultdict(list))

    async def measure(self) -> None:
        while True:
            for name, pid in self.running().items():
                with contextlib.suppress(OSError):  # it has ended
                    self.lives[name, pid].append(sampled(pid))
            await asyncio.sleep(EVERY)

    def judged(self) -> list[tuple[str, Life]]:
        found = [(name, Life.of(samples)) for (name, _), samples in self.lives.items()]
        return [(name, life) for name, life in found if life is not None]

    def document(self) -> dict[str, Any]:
        """Of each program how many lives it had, the most of them all, and how its longest one began and ended."""
        longest = dict(sorted(self.judged(), key=lambda each: each[1].samples))
        samples: dict[str, list[Sample]] = defaultdict(list)
        for (name, _), taken in self.lives.items():
            samples[name] += taken
        return {
            name: {
                "lives": sum(of == name for of, _ in self.lives),
                "rss_mb_max": round(max((each.rss_mb for each in taken), default=0.0), 1),
                "handles_max": max((each.handles for each in taken), default=0),
                "longest": asdict(longest[name]) if name in longest else None,
            }
            for name, taken in sorted(samples.items())
        }


def sampled(pid: int) -> Sample:
    """Raises OSError where the process is gone."""
    process = Path("/proc") / str(pid)
    children = (process / "task" / str(pid) / "children").read_text().split()
    rss_kb, handles = _of(process)
    for child in children:
        with contextlib.suppress(OSError):
            more = _of(Path("/proc") / child)
            rss_kb, handles = rss_kb + more[0], handles + more[1]
    return Sample(rss_kb / 1024, handles)


def _of(process: Path) -> tuple[int, int]:
    status = (process / "status").read_text()
    rss = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), "0")
    return int(rss), sum(1 for _ in (process / "fd").iterdir())
