"""`python -m proving.mutants.generic [MODULE ...]`: every mutant of the domain, or of modules such as `topology/laws`.

Writes build/mutants.json. Exits 1 where a mutant survives that proving/mutants/survivors.toml does not answer, where an
answer has no mutant any more, or where a module's tests fail by themselves.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

from proving.mutants.generic.answers import FILE, NO_END, Name, Verdict, answers, as_entry, verdict
from proving.mutants.generic.mutations import mutants_of
from proving.mutants.generic.probe import results_in
from proving.mutants.generic.settings import DOMAIN, RESULTS, TEXTS, TREE, modules, paths_of_tests, source_of

REPORT = TREE / "build" / "mutants.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.mutants.generic", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="of the domain, or patterns: 'routes/*'")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    arguments = parser.parse_args()
    chosen = _chosen(arguments.modules)
    RESULTS.mkdir(parents=True, exist_ok=True)
    known = answers(FILE.read_text())
    with ThreadPoolExecutor(arguments.jobs) as threads:
        green = [module for module, code in zip(chosen, threads.map(_tried, chosen), strict=True) if not code]
    for module in green:
        if NO_END in results_in(_results(module)).values():
            _tried(module, "--alone")
    verdicts = [_judged(module, known) for module in green]
    REPORT.write_text(json.dumps({"modules": [_row(v) for v in verdicts]}, indent=1) + "\n")
    _tell(verdicts)
    red = len(chosen) - len(verdicts)
    return 1 if red or any(v.unanswered or v.idle for v in verdicts) else 0


def _chosen(patterns: Sequence[str]) -> list[str]:
    chosen = [m for m in modules() if not patterns or any(fnmatchcase(m, p.removesuffix(".py")) for p in patterns)]
    if not chosen:
        sys.exit(f"no module of {DOMAIN} is named {', '.join(patterns)}")
    return sorted(chosen, key=lambda m: -source_of(m).stat().st_size)


def _tried(module: str, *alone: str) -> int:
    """The exit code of its process, which says what is wrong where that is not 0: the tests fail by themselves."""
    command = [sys.executable, "-m", "proving.mutants.generic.probe", module, str(_results(module)), *alone]
    code = subprocess.run(command, cwd=TREE, stdout=subprocess.DEVNULL).returncode
    print(f"{module:24} {'cannot be tried' if code else 'tried again, alone' if alone else 'tried'}", flush=True)
    return code


def _judged(module: str, known: dict[Name, str]) -> Verdict:
    mutants = mutants_of(source_of(module).read_text(), TEXTS)
    return verdict(module, mutants, results_in(_results(module)), known)


def _results(module: str) -> Path:
    """The file for what came of this source under these tests: of another it is no use."""
    files = [source_of(module), *(TREE / test for test in paths_of_tests(module)), TREE / "tests" / "builders.py"]
    files += (Path(__file__).with_name(name) for name in ("probe.py", "mutations.py"))
    mark = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
    stem = module.replace("/", ".")
    path = RESULTS / f"{stem}.{mark}.jsonl"
    for old in RESULTS.glob(f"{stem}.*.jsonl"):
        if old != path and old.name.removeprefix(f"{stem}.").count(".") == 1:
            old.unlink()
    path.touch()
    return path


def _row(found: Verdict) -> dict[str, object]:
    return {
        "module": found.module,
        "mutants": found.mutants,
        "noticed": found.noticed,
        "noEnd": found.endless,
        "equivalent": len(found.answered),
        "rate": round(found.rate, 3),
        "unanswered": [
            dict(zip(("module", "function", "was", "becomes", "occurrence"), n, strict=True)) for n in found.unanswered
        ],
    }


def _tell(verdicts: Sequence[Verdict]) -> None:
    for found in verdicts:
        print(f"{found.module:24} {found.noticed:4} of {found.mutants:4} noticed, {found.endless} without an end")
        for name in found.unanswered:
            print(f"survived, without an answer:\n{as_entry(name)}")
        for name in found.idle:
            print(f"answered, and not among the survivors:\n{as_entry(name)}")
    mutants = sum(v.mutants for v in verdicts)
    noticed = sum(v.noticed for v in verdicts)
    endless = sum(v.endless for v in verdicts)
    equivalent = sum(len(v.answered) for v in verdicts)
    left = mutants - noticed - endless - equivalent
    print(
        f"{noticed} of {mutants} mutants noticed by a test, {endless} without an end, {equivalent} equivalent, "
        f"{left} unanswered; {REPORT}"
    )


if __name__ == "__main__":
    sys.exit(main())
