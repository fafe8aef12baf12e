"""Whether an app that was deployed really runs, by what it answers.

State Running and a 200 of `/` or of ping prove nothing: an app that was found without functions looks the same (ADR 9).
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from function_app.reconcile.ports import Clock

AGAIN = timedelta(seconds=5)

API = (
    "apply",
    "diff",
    "events",
    "explain",
    "history",
    "lint",
    "lint_document",
    "on_alert",
    "on_report",
    "openapi",
    "order",
    "plan",
    "plan_document",
    "reconcile",
    "remove",
    "status",
    "topologies",
    "topology",
    "verify",
)
"""Each also as `entra_NAME`, for those who sign in (ADR 18)."""
FUNCTIONS = tuple(sorted((*API, *(f"entra_{name}" for name in API), "on_resource_event", "on_wakeup", "page", "sweep")))


@dataclass(frozen=True, slots=True)
class Answered:
    """What a path answered: its status code and its JSON, or why there was no answer."""

    code: int = 0
    body: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """An app at `url`; `ask` gives the answers of /admin/functions and of /api/status."""

    url: str
    ask: Callable[[], Awaitable[tuple[Answered, Answered]]]
    clock: Clock

    async def check(self, wait: timedelta, sweep_within: timedelta) -> tuple[tuple[str, ...], str]:
        """What is wrong with it, read again for `wait` until nothing is; and one line for an app without faults."""
        until = self.clock.now() + wait
        while True:
            functions, overview = await self.ask()
            found = faults(self.url, functions, overview, sweep_within)
            if not found:
                return (), summary(functions, overview)
            if self.clock.now() >= until:
                return found, ""
            await self.clock.sleep(AGAIN)


def faults(url: str, functions: Answered, overview: Answered, sweep_within: timedelta) -> tuple[str, ...]:
    """What is wrong with the app at `url`, each with what to do; nothing where it has every function, its sweep runs, and
    each topology was looked at within the same time: a sweep only requests looks, which may all fail.

    `functions` answered /admin/functions, `overview` /api/status.
    """
    found = _function_faults(functions)
    return found or _sweep_faults(overview, sweep_within) if _listed(functions) else (_no_list(url, functions),)


def _listed(functions: Answered) -> bool:
    return functions.code == 200 and isinstance(functions.body, list)


def _no_list(url: str, functions: Answered) -> str:
    if functions.code == 401:
        return f"{url} does not take this key: the list of functions wants the master key (az functionapp keys list)"
    if functions.code == 403:
        return (
            f"{url} answers 403: either the key is a host key, where the master key is wanted, or the site's access "
            "restrictions do not admit this machine: run this from a network that they admit"
        )
    said = functions.why or f"it answers {functions.code}"
    return (
        f"{url} does not tell its functions: {said}; see az functionapp show, and whether this machine reaches the site"
    )


def _function_faults(functions: Answered) -> tuple[str, ...]:
    if not _listed(functions):
        return ()
    there = _by_name(functions)
    missing = [name for name in FUNCTIONS if name not in there]
    disabled = [name for name in FUNCTIONS if name in there and there[name].get("isDisabled")]
    found = []
    if len(missing) == len(FUNCTIONS):
        found.append(
            "it has 0 functions: function_app.py is not in the package, PYTHON_SCRIPT_FILE_NAME is not main.py, or main.py "
            "cannot be imported (the log of Host.Startup says which); deploy the zip of make package again"
        )
    elif missing:
        found.append(f"it lacks {', '.join(missing)}: deploy the zip of make package again")
    if disabled:
        found.append(f"disabled: {', '.join(disabled)}; take the app setting AzureWebJobs.NAME.Disabled away")
    return tuple(found)


def _by_name(functions: Answered) -> dict[str, Mapping[str, Any]]:
    named = [one for one in functions.body if isinstance(one, Mapping)]
    return {one["name"]: one for one in named if isinstance(one.get("name"), str)}


def _sweep_faults(overview: Answered, within: timedelta) -> tuple[str, ...]:
    if overview.code != 200 or not isinstance(overview.body, Mapping):
        said = overview.why or f"it answers {overview.code} {overview.body or ''}".strip()
        return (f"/api/status does not tell of the sweep: {said}; a setting may be wrong, see the app's log",)
    sweep = overview.body.get("sweep")
    if not sweep:
        return ("no sweep has come through yet: wait for its minute (--wait), then see the log of the function sweep",)
    age = sweep.get("ageSeconds") if isinstance(sweep, Mapping) else None
    if not isinstance(age, int | float) or not math.isfinite(age):
        return (f"/api/status names the sweep {sweep!r}, which has no age: is it this app, and of this version?",)
    if age < -within.total_seconds():
        return (f"the last sweep is {-age} s in the future: the clock of the app or the record of its sweep is wrong",)
    if age > within.total_seconds():
        return (
            f"the last sweep came through {age} s ago, more than {within.total_seconds():.0f} s: "
            "see the log of the function sweep, and HOPKEEPER_SWEEP_SCHEDULE",
        )
    return _look_faults(overview.body, within)


def _look_faults(overview: Mapping[str, Any], within: timedelta) -> tuple[str, ...]:
    """Of an app that only observes there is nothing to say: its looks leave nothing behind."""
    topologies = overview.get("topologies")
    if not isinstance(topologies, list) or not all(isinstance(one, Mapping) for one in topologies):
        return (f"/api/status names the topologies {topologies!r}: is it this app, and of this version?",)
    if overview.get("observing") is True:
        return ()
    return tuple(fault for one in topologies if (fault := _look_fault(one, within)))


def _look_fault(entry: Mapping[str, Any], within: timedelta) -> str:
    name, age = entry.get("topology"), entry.get("lastLookSeconds")
    if entry.get("usable") is False:
        return f"topology {name} cannot be used: {entry.get('problems')}; mend its document, and hopkeeper apply it"
    what = "see the log of the function on_wakeup, and the queue of poisoned wake-ups"
    if age is None:
        return f"topology {name}: no look has been completed yet: wait for the next (--wait), then {what}"
    if not isinstance(age, int | float) or not math.isfinite(age):
        return f"topology {name}: its last look is {age!r} s old, which is no age: is the app of this version?"
    if age < -within.total_seconds():
        return f"topology {name}: its last look is {-age} s in the future: the clock of the app is wrong"
    if age > within.total_seconds():
        return (
            f"topology {name}: the last completed look is {age} s old, more than {within.total_seconds():.0f} s: {what}"
        )
    return ""


def summary(functions: Answered, overview: Answered) -> str:
    """One line for an app without faults."""
    names: Sequence[str] = sorted(_by_name(functions))
    return f"{len(names)} functions ({', '.join(names)}); the last sweep {overview.body['sweep']['ageSeconds']} s ago"
