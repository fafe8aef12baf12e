"""A page of the documentation, walked word for word: its blocks as one script, and what each must have said."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BLOCK = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 280
SHOWN = 3000


def walk(page: str, folder: Path, env: Mapping[str, str], *, least: int, before: str = "") -> None:
    """Runs the blocks of a page in a folder, after `before`; a block `text` has lines that the one above it must have said, of
    which there are `least`."""
    commands, expected, number = ["set -euo pipefail", before], [], 0
    for kind, text in BLOCK.findall(page):
        if kind == "text":
            expected += [(number, line) for line in text.splitlines()]
            continue
        number += 1
        if kind == "python":
            (folder / f"block{number}.py").write_text(text)
            text = f"{sys.executable} block{number}.py\n"
        commands.append(f"{text}echo '=== {number} ==='")
    walked = subprocess.run(
        ["bash", "-c", "\n".join(commands)],
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert walked.returncode == 0, walked.stdout[-SHOWN:] + walked.stderr[-SHOWN:]
    said = dict(enumerate(re.split(r"=== \d+ ===", walked.stdout), 1))
    assert len(expected) >= least
    for number, line in expected:
        assert line in said[number], said[number]
