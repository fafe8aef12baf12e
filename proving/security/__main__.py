"""`python -m proving.security`: runs the tests of every case, and writes what each case's verdict is to build/security.json."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from proving.security.cases import FILE, Verdict, cases, judged, report

OUT = Path("build/security.json")


class Seen:
    """A plugin: what came of each test, the worst of its set-up, call and teardown."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            worse = self.outcomes.get(report.nodeid) == "failed"
            self.outcomes[report.nodeid] = "failed" if worse else report.outcome


def main(arguments: list[str] | None = None) -> int:
    """Ends with 1 if a case fails or is unproven. Arguments are pytest's."""
    found, seen = cases(FILE.read_text()), Seen()
    named = sorted({test for case in found for test in case.tests})
    options = ["--numprocesses", "2", "--dist", "loadfile", *(sys.argv[1:] if arguments is None else arguments)]
    pytest.main([*options, *named], plugins=[seen])
    verdicts = {case.name: judged(case, seen.outcomes) for case in found}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(list(report(found, seen.outcomes)), indent=1) + "\n")
    for case in found:
        if verdicts[case.name] is not Verdict.HOLDS:
            print(f"{verdicts[case.name]:9} {case.name}: {case.says}" + (f" ({case.open})" if case.open else ""))
    counted = Counter(verdicts.values())
    print(
        ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict]), f"of {len(found)} cases"
    )
    return 1 if counted[Verdict.FAILS] or counted[Verdict.UNPROVEN] else 0


if __name__ == "__main__":
    sys.exit(main())
