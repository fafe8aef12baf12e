"""`python -m proving.storm`: runs storms, replays a seed or a story, shrinks what failed. Exit 1 if any law was broken."""

import argparse
import json
import sys
import time
from pathlib import Path

from proving.storm import stories
from proving.storm.campaign import Failure, Tally, campaign, law_broken
from proving.storm.faults import Plan
from proving.storm.profiles import PROFILES, run
from proving.storm.shrink import Shrinker

BUILD = Path("build")
SHRUNK_MAX = 5
"""Failures that are shrunk and kept as stories, one a law first; the others are named by their seeds."""


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if options.story is not None:
        return _replay(stories.load(options.story).plan, trace=True)
    if options.profile == "all" and (options.seed is not None or options.first):
        sys.exit(f"--seed and --first need --profile {', '.join(PROFILES)}")
    if options.seed is not None:
        return _replay(PROFILES[options.profile].plan(options.seed), options.trace)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    names = list(PROFILES) if options.profile == "all" else [options.profile]
    seeds = {name: _seeds(name, options) for name in names}
    began = time.perf_counter()
    tallies = campaign(seeds, options.jobs)
    seconds = time.perf_counter() - began
    report = _report(tallies, seconds, options.jobs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "profiles"}))
    _keep([failure for tally in tallies.values() for failure in tally.failures])
    return 1 if report["violations"] or report["not_live"] else 0


def _seeds(profile: str, options: argparse.Namespace) -> range:
    """Those of a profile that are asked for; crash points end by themselves, and wires are few unless they are named."""
    count: int = PROFILES[profile].count()
    end: int = options.first + (count if options.seeds is None else options.seeds)
    ends = profile == "exhaustive" or (profile == "wire" and options.profile == "all")
    return range(options.first, min(end, count) if ends else end)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proving.storm", description=__doc__)
    parser.add_argument("--profile", choices=("all", *PROFILES), default="all")
    parser.add_argument("--seeds", type=int, help="histories of each profile (default: full size)")
    parser.add_argument("--first", type=int, default=0, help="begin with this seed of --profile: a part of a long one")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="run only this one of --profile")
    parser.add_argument("--trace", action="store_true", help="with --seed: print the history")
    parser.add_argument("--story", type=Path, help="replay a story and print its history")
    parser.add_argument("--out", type=Path, default=BUILD / "storm.json")
    return parser.parse_args(arguments)


def _replay(plan: Plan, trace: bool) -> int:
    result = run(plan, trace)
    print("\n".join(result.story), end="\n" if result.story else "")
    broken = result.violation or result.not_live
    verdict = f"{broken.law} is broken at {broken.at:.3f} s: {broken.text}" if broken else "all laws hold"
    print(f"{plan.profile} {plan.seed}: {result.events} events, {result.openings} operations opened; {verdict}")
    return 1 if broken else 0


def _figures(tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "histories": tally.histories,
        "events": tally.events,
        "events_per_second": round(tally.events / seconds) if seconds else 0,
        "violations": tally.violations,
        "not_live": tally.not_live,
    }


def _report(tallies: dict[str, Tally], seconds: float, jobs: int) -> dict[str, object]:
    """The whole by the wall clock; each profile by the time that was spent in it, shared out over the processes."""
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    return {
        **_figures(whole, seconds),
        "profiles": {name: _figures(tally, tally.seconds / jobs) for name, tally in tallies.items()},
        "seconds": round(seconds, 1),
        "jobs": jobs,
    }


def _keep(failures: list[Failure]) -> None:
    """Shrinks the first failure of each law and keeps it as a story."""
    first: dict[str, Failure] = {}
    for failure in failures:
        first.setdefault(failure.law, failure)
    for failure in list(first.values())[:SHRUNK_MAX]:
        plan = Shrinker(law_broken, failure.law).shrink(failure.plan)
        path = stories.save(stories.Story(failure.law, failure.text, plan), BUILD / "stories")
        print(f"{len(plan.faults) + len(plan.points)} faults are enough: --story {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
