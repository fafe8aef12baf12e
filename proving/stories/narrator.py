"""The narrative: what happened, what Hopkeeper saw, did, held and why, in lines with virtual time stamps.

What a pass repeats is printed once: numbers that only count down are no news.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from proving.stories.host import EndedPass

WIDTH_MAX = 160
TURNED_AWAY = "another pass is running and goes on with this"
TELLING = (("because", "because"), ("does", "effects"), ("held back by", "refused"))
"""Of a journal entry's steps; what is held is printed with the outcome."""


@dataclass(slots=True)
class Narrator:
    """Collects the lines; `say` gets each as it comes."""

    now: Callable[[], datetime]
    say: Callable[[str], None] = lambda line: None
    lines: list[str] = field(default_factory=list)
    _last: dict[str, frozenset[str]] = field(default_factory=dict)
    _because: frozenset[str] = frozenset()
    _over: bool = False

    def plain(self, line: str = "") -> None:
        if not self._over:
            self.lines.append(line)
            self.say(line)

    def close(self) -> None:
        """Nothing is printed any more."""
        self._over = True

    def act(self, words: str) -> None:
        self.plain(f"{self.now():%H:%M:%S}  {words}")

    def fact(self, who: str, words: str) -> None:
        """What Hopkeeper, an agent or Azure did or saw, and the story did not order."""
        text = _readable(f"{who}: {words}")
        for i, line in enumerate(_wrapped(text)):
            self.plain(f"{self.now():%H:%M:%S}      {line}" if i == 0 else f"{'':16}{line}")

    def expectation(self, words: str, seconds: float) -> None:
        after = f" ({seconds:.1f} s later)" if seconds >= 0.05 else ""
        self.plain(f"{self.now():%H:%M:%S}    ✓ {words}{after}")

    def failure(self, words: str) -> None:
        self.plain(f"{self.now():%H:%M:%S}    ✗ {words}")

    def journal(self, body: bytes) -> None:
        """One entry of the history: the evidence that counted, and every step that did something."""
        entry = json.loads(body)
        steps = [step for step in entry["steps"] if any(step.get(key) for _, key in TELLING)]
        if not steps:
            return
        began = datetime.fromisoformat(entry["started"])
        since = f", since {began:%H:%M:%S}" if (self.now() - began).total_seconds() >= 1 else ""
        self.fact(f"Hopkeeper, {entry['pace']} pass{since} ({entry['trigger']})", entry["service"])
        known: set[str] = set()
        for step in steps:
            for title, line in _titled(step):
                self._under(f"{title}: {line}")
            for line in _results(step):
                if line not in known:  # an entry's steps carry on what came of the ones before
                    self._under(line)
            known |= set(_results(step))
        self._because = frozenset(_still(line) for step in steps for _, line in _titled(step))

    def outcome(self, topology: str, ended: EndedPass) -> None:
        """What a pass ended with, as far as the one before did not say so already."""
        new = (r for r in ended.outcome.reasons if not r.endswith(TURNED_AWAY))
        reasons = [r for r in new if not any(_still(r).endswith(b) for b in self._because)]
        before = self._last.get(topology, frozenset())
        self._last[topology] = frozenset(map(_still, reasons))
        for reason in reasons:
            if _still(reason) not in before:
                self.fact(f"Hopkeeper {ended.outcome.ending.name.lower()}", reason)

    def _under(self, text: str) -> None:
        for i, line in enumerate(_wrapped(_readable(text))):
            self.plain(f"{'':16}{line}" if i == 0 else f"{'':20}{line}")


def _titled(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(title, line) for title, key in TELLING for line in step.get(key, ())]


def _results(step: Mapping[str, Any]) -> list[str]:
    failed = [f"failed: {effect}: {why}" for effect, why in sorted(step.get("failed", {}).items())]
    return failed + [f"proof: {member} is fenced, in both planes" for member in sorted(step.get("proofs", {}))]


def _readable(text: str) -> str:
    """Without what only a machine compares: ids of operations and etags; of a resource id the last name."""
    text = re.sub(r'W/"[^"]*"', "(an etag)", text)
    text = re.sub(r"/subscriptions/[^\s'\"]*?/([^/\s'\"]+)(?=[\s:,;'\"]|\.\s|\.?$)", r"\1", text)
    return re.sub(r" ?\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "", text)


def _still(text: str) -> str:
    """The words without their numbers and times."""
    return re.sub(r"\d+", "#", text)


def _wrapped(text: str) -> Iterator[str]:
    while len(text) > WIDTH_MAX:
        cut = text.rfind(" ", 40, WIDTH_MAX)
        cut = cut if cut > 0 else WIDTH_MAX
        yield text[:cut]
        text = text[cut:].lstrip()
    yield text


def status_lines(status: Mapping[str, Any]) -> Sequence[str]:
    """The end of a story: what the status page would say."""
    lines = [f"status of {status['topology']}"]
    lines += [f"  problem: {problem}" for problem in status["problems"]]
    lines += [_service_line(service) for service in status["services"]]
    last = status["lastLook"] or {}
    lines += [_server_line(name, server) for name, server in sorted(last.get("routeServers", {}).items())]
    return [*lines, *_last_lines(last)] if last else lines


def _service_line(service: Mapping[str, Any]) -> str:
    held = service["holder"] or ", ".join(service["mayServe"]) or "no member"
    what = f"  {service['service']}: {held} ({service['mode']}, {service['phase']}, epoch {service['epoch']})"
    extra = [f"{key} {', '.join(service[key])}" for key in ("fenced", "owed") if service[key]]
    return "; ".join([what, *extra])


def _server_line(name: str, server: Mapping[str, Any]) -> str:
    own = ", ".join(f"{peering} {state}" for peering, state in sorted(server["own"].items())) or "none of ours"
    foreign = f"; not ours: {', '.join(server['foreign'])}" if server["foreign"] else ""
    return f"  {name}: {server['taken']} of {server['most']} peerings: {own}{foreign}"


def _last_lines(last: Mapping[str, Any]) -> list[str]:
    """Of the last pass: its routes and its outcome."""
    wrong = [finding["sentence"] for finding in last["routes"]["findings"] if finding["wrong"]]
    routes = "as they should be" if last["routes"]["verified"] and not wrong else "not verified"
    sentences = [f"    {sentence}" for sentence in wrong]
    reasons = [f"    {reason}" for reason in last["reasons"]]
    return [f"  routes: {routes}", *sentences, f"  last pass: {last['outcome']}", *reasons]
