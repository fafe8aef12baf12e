"""What waits to befall a request: the next of a kind, the k-th of those that count, or any, by chance, while it lasts."""

import random
from dataclasses import dataclass

from proving.storm.calls import Mishap

COUNTED = ("agent.fence", "agent.promote", "lb.", "record.")
"""The I/O points of an operation itself: what exhaustive crash points are counted over."""


@dataclass(frozen=True, slots=True)
class Armed:
    """The next request whose kind begins with `where` meets `mishap`; `one>other`: the next `other` after a `one`."""

    where: str
    mishap: Mishap
    seconds: float


class Mishaps:
    """Asked once for every request while `armed`."""

    __slots__ = ("_chance", "_draw", "_losing", "_next", "_points", "armed", "counted")

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._next: list[Armed] = []
        self._points: dict[int, tuple[Mishap, float]] = {}
        self._chance = 0.0
        self._losing = ""
        self.counted: list[str] = []
        """The kinds of the counted requests so far."""
        self.armed = False

    def arm(self, armed: Armed) -> None:
        self._next.append(armed)
        self.armed = True

    def at_points(self, points: dict[int, tuple[Mishap, float]]) -> None:
        """The k-th counted request, from 1, meets what is written for k; without any it only counts."""
        self._points = points
        self.armed = True

    def lose(self, where: str, chance: float) -> None:
        """From now on requests of a kind, or their answers, get lost by chance; 0 ends it."""
        self._losing, self._chance = where, chance
        self.armed = True

    def clear(self) -> None:
        self._next.clear()
        self._chance = 0.0
        self.armed = bool(self._points)

    def meet(self, kind: str) -> tuple[Mishap, float] | None:
        """What befalls this request, and for how many seconds."""
        if kind.startswith(COUNTED):
            self.counted.append(kind)
            found = self._points.get(len(self.counted))
            if found is not None:
                return found
        for index, armed in enumerate(self._next):
            if armed.where.startswith(kind + ">"):
                self._next[index] = Armed(armed.where.partition(">")[2], armed.mishap, armed.seconds)
            elif kind.startswith(armed.where):
                del self._next[index]
                return armed.mishap, armed.seconds
        if self._chance and kind.startswith(self._losing) and self._draw.random() < self._chance:
            return (Mishap.LOSE if self._draw.random() < 0.5 else Mishap.LOSE_REPLY), 0.0
        return None
