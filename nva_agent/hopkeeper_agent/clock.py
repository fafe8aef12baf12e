"""The agent's two clocks as one value, which a test or a simulation replaces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Both in seconds. `monotonic` never steps and measures ages; `wall` counts from 1970 (UTC) and goes into messages."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
