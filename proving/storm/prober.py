"""The load balancer's probe: up after `THRESHOLD` answers of 200 in a row, down after as many others (azure-facts.md section 3).

Each member is probed at times of its own, `INTERVAL` seconds apart. Probes that meet nothing new are no events.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proving.storm.loop import Timeline

INTERVAL = 5.0
THRESHOLD = 2


class Prober:
    """What the probe has made of one member. `seen` is called when `up` has changed, or a probe met another answer."""

    __slots__ = ("_answers", "_in_a_row", "_last", "_phase", "_seen", "_since", "_timeline", "_turn", "up")

    def __init__(self, timeline: "Timeline", phase: float, seen: Callable[[], None]) -> None:
        """`phase`: seconds into the history at which a probe is sent, as every `INTERVAL` before and after."""
        self._timeline, self._phase, self._seen = timeline, phase, seen
        self.up, self._turn = False, 0
        self.begin(False)

    def begin(self, answers: bool) -> None:
        """It has answered so for long."""
        self.up = self._answers = self._last = answers
        self._in_a_row = THRESHOLD
        self._since = self._timeline.now
        self._turn += 1

    def answers(self, good: bool) -> None:
        """From now on a probe is answered with 200, or not."""
        now = self._timeline.now
        if probes := self._number(now) - self._number(self._since):
            self._in_a_row = probes + (self._in_a_row if self._last is self._answers else 0)
            self._last = self._answers
        self._answers, self._since = good, now
        self._turn += 1
        missing = 0 if good is self.up else THRESHOLD - (self._in_a_row if self._last is good else 0)
        at = self._phase + (self._number(now) + max(missing, 1)) * INTERVAL
        self._timeline.after(at - now, self._met, self._turn)
        if missing > 1:
            self._timeline.after(at - (missing - 1) * INTERVAL - now, self._met_first, self._turn)

    @property
    def fails(self) -> bool:
        """Whether it is up, and its last probe failed."""
        return self.up and not self._answers and self._number(self._timeline.now) > self._number(self._since)

    def _number(self, at: float) -> int:
        """How many probes were sent up to then, counted from the phase."""
        return int((at - self._phase) // INTERVAL)

    def _met_first(self, turn: int) -> None:
        if turn == self._turn:
            self._seen()

    def _met(self, turn: int) -> None:
        if turn == self._turn:
            self.up = self._answers
            self._seen()
