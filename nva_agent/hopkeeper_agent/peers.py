"""Whether peers are alive: two independent readings of each, from its heartbeats and from its probe port.

Pure: `now` is seconds of one monotonic clock, given by the caller. The sockets are in `gossip` and `peer_probe`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from hopkeeper_agent.decoding import seconds, whole
from hopkeeper_agent.warrants import SERVICES_MAX, Warrant

RETIRED_BOOTS = 64
"""So many earlier boots of a peer are refused at once; what was recorded before that is never fresh anyway."""

BACK_WITHIN_MAX_SECONDS = 10.0
"""A restart that takes longer is a failure, whatever was announced."""

OVERDUE_PERIODS = 1.5
"""Then one heartbeat is lost, or late by half a period."""


class Reading(StrEnum):
    """One reading. Unknown is not bad."""

    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tempo:
    """The pace of gossip: the period in seconds, and how many periods of silence mean bad."""

    period_seconds: Annotated[float, seconds(0.02, 60)] = 0.1
    fall: Annotated[int, whole(2, 100)] = 3

    @property
    def window_seconds(self) -> float:
        """How long a peer may send no heartbeat, in seconds."""
        return self.period_seconds * self.fall


@dataclass(slots=True)
class PeerWatch:
    """The readings of one peer. `boot_id` and `counter` are of the boot that answered us last, from its heartbeats.

    `warrants`: by service, the newest role command that it is known to have accepted.
    """

    tempo: Tempo
    started: float
    last_heard: float | None = None
    boot_id: str | None = None
    counter: int = -1
    warrants: dict[str, Warrant] = field(default_factory=dict)
    failing: frozenset[str] | None = None
    """Its fatal checks that fail, by its last heartbeat; None where it does not say (version 1)."""
    is_witness: bool = False
    _silent_tries: int = field(default=0, init=False)
    _answered: bool = field(default=False, init=False)
    _excused_until: float = field(default=0.0, init=False)
    _introduced: tuple[str, int] | None = field(default=None, init=False)
    _retired: deque[str] = field(default_factory=lambda: deque(maxlen=RETIRED_BOOTS), init=False)

    def receive(self, boot_id: str, counter: int, answers: bool, now: float, back_within: float = 0.0) -> bool:
        """Note an authentic heartbeat. Returns whether it is newer than all before it and proves that the peer is alive.

        `answers`: it echoes a recent heartbeat of ours. One of a new boot that does not is a recording, or the first after
        a start: it is noted, so that ours can be answered, and replaces nothing. A boot that was replaced never counts again.
        `back_within`: so many seconds it may be silent from now, as it restarts.
        """
        if boot_id in self._retired or (boot_id == self.boot_id and counter <= self.counter):
            return False
        if boot_id != self.boot_id and not answers:
            self._introduced = (boot_id, counter)
            return False
        if self.boot_id not in (None, boot_id):
            self._retired.append(str(self.boot_id))
        self.boot_id, self.counter = boot_id, counter
        if answers:
            self.last_heard = now
            self._excused_until = now + min(back_within, BACK_WITHIN_MAX_SECONDS) if back_within else 0.0
            # The probe port is tried only while a heartbeat is overdue; those tries are out of date now.
            self._silent_tries, self._answered = 0, False
        return answers

    def echo(self) -> dict[str, int]:
        """What our next heartbeat answers this peer: by boot, the counter of the last heartbeat received.

        Beside the boot that counts, the last one that has introduced itself: a recording cannot keep a new boot out.
        """
        last = {} if self._introduced is None else dict([self._introduced])
        return last if self.boot_id is None else last | {self.boot_id: self.counter}

    @property
    def epochs(self) -> dict[str, int]:
        """By service, the highest epoch at which the app is known to have commanded this peer."""
        return {service: warrant.epoch for service, warrant in self.warrants.items()}

    def note_warrant(self, warrant: Warrant) -> None:
        """Keep the newest of each service; no more services than an agent may know."""
        known = self.warrants.get(warrant.service)
        if known is None and len(self.warrants) >= SERVICES_MAX:
            return
        if known is None or warrant.epoch > known.epoch:
            self.warrants[warrant.service] = warrant

    def probe_answered(self) -> None:
        """The probe port gave any HTTP answer."""
        self._silent_tries, self._answered = 0, True

    def probe_silent(self) -> None:
        """The probe port gave no answer."""
        self._silent_tries += 1

    def gossip(self, now: float) -> Reading:
        """Bad after a window without heartbeat, counted from our own start if there never was one, or unknown where it announced
        that it restarts."""
        since = self.started if self.last_heard is None else self.last_heard
        if now - since > self.tempo.window_seconds:
            return Reading.UNKNOWN if now < self._excused_until else Reading.BAD
        return Reading.UNKNOWN if self.last_heard is None else Reading.OK

    def suspect(self, now: float) -> bool:
        """A heartbeat is overdue: time to try the probe port, so that both readings turn bad at about the same time.

        A peer without any heartbeat yet has all of the gossip window, as it may be starting like this agent.
        """
        if self.last_heard is None:
            return self.gossip(now) is Reading.BAD
        return now >= self._excused_until and now - self.last_heard > OVERDUE_PERIODS * self.tempo.period_seconds

    def probe(self) -> Reading:
        """Bad after `fall` tries in a row without an answer."""
        if self._silent_tries >= self.tempo.fall:
            return Reading.BAD
        return Reading.OK if self._answered else Reading.UNKNOWN

    def failed(self, now: float) -> bool:
        """Both readings are bad; one alone may be a broken path."""
        return self.gossip(now) is Reading.BAD and self.probe() is Reading.BAD

    def age_seconds(self, now: float) -> float:
        """Seconds since the last heartbeat that was life; since our own start if there never was one."""
        return max(0.0, now - (self.started if self.last_heard is None else self.last_heard))
