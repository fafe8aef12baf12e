"""What `make audit` says of what pip-audit answers: nothing is called free of advisories that was not looked up."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.release.audit import NOT_AUDITED, audited

FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}


def ends(tmp_path: Path, answer: str, status: int) -> int:
    """With a pip-audit that gives this answer."""
    (tmp_path / "pins.txt").write_text(
        f"# What it brings.\nmore-parts==2.0 --hash=sha256:{64 * 'a'}\npart==1.0 --hash=sha256:{64 * 'b'}\n"
    )
    program = f"import sys; print({answer!r}); print('no route', file=sys.stderr); sys.exit({status})"
    return audited([sys.executable, "-c", program], tmp_path / "pins.txt")


def known(**of: Any) -> str:
    answers = {"more-parts": {"version": "2.0", "vulns": []}, "part": {"version": "1.0", "vulns": []}} | of
    return json.dumps({"dependencies": [{"name": name, **said} for name, said in answers.items()], "fixes": []})


@pytest.mark.parametrize(
    ("answer", "status", "end", "said"),
    [
        (known(), 0, 0, "no advisory is known for 2 libraries"),
        (known(part={"version": "1.0", "vulns": [FLAW]}), 1, 1, "part 1.0: PYSEC-2026-1, mended in 1.1"),
        ("", 1, NOT_AUDITED, "NOT AUDITED: the advisory service gave no answer: no route"),
        ("<html>", 0, NOT_AUDITED, "NOT AUDITED: the advisory service gave no answer"),
        ("[]", 0, NOT_AUDITED, "NOT AUDITED: the advisory service gave no answer"),
        (known(part={"skip_reason": "not found"}), 0, NOT_AUDITED, "NOT AUDITED: part"),
        ('{"dependencies": []}', 0, NOT_AUDITED, "NOT AUDITED: more-parts, part"),
    ],
    ids=["none", "one", "not reached", "no JSON", "another shape", "skipped", "left out"],
)
def test_no_advisory_is_known_only_where_each_library_was_looked_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: str, status: int, end: int, said: str
) -> None:
    assert ends(tmp_path, answer, status) == end
    printed = capsys.readouterr().out
    assert said in printed
    assert ("no advisory is known" in printed) is (end == 0)
