"""A mutant of the safety protocol: a patch that breaks one rule, and the tests that must notice.

    Rule: R2: a grant needs a proof for every other `may_serve`
    Test: tests/unit/test_protocol_rules.py::test_every_other_that_may_serve_needs_its_own_proof

    --- a/function_app/domain/service/protocol.py
    +++ b/function_app/domain/service/protocol.py
    @@
    -    if not unproven(look):
    +    if len(unproven(look)) < 2:

A hunk has no line numbers: its lines that begin with " " or "-" stand in the file exactly once, and give way to those that
begin with " " or "+". `Test:` may be repeated; the file's name is the mutant's.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

FOLDER = Path(__file__).parent / "protocol"


class DoesNotApplyError(Exception):
    """The code that a patch changes is not there, or there more than once: the patch must follow the code."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """What stands in a file, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Patch:
    """`rule` begins with R1 to R7 or with another word for what is broken; `killers` are pytest's node ids."""

    name: str
    rule: str
    killers: tuple[str, ...]
    hunks: tuple[Hunk, ...]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hunk.file for hunk in self.hunks))

    @property
    def modules(self) -> tuple[str, ...]:
        """The dotted names of the files, as tests import them."""
        paths = (PurePosixPath(file.removeprefix("nva_agent/")).with_suffix("") for file in self.files)
        return tuple(".".join(path.parts) for path in paths)

    def applied(self, tree: Path) -> dict[str, str]:
        """The changed text of each file. Raises DoesNotApplyError, SyntaxError."""
        texts: dict[str, str] = {}
        for hunk in self.hunks:
            path = tree / hunk.file
            if hunk.file not in texts and not path.exists():
                raise DoesNotApplyError(f"{self.name}: there is no {hunk.file}")
            text = texts.get(hunk.file) or path.read_text()
            places = [m.span() for m in re.finditer(f"^{re.escape(hunk.old)}", text, re.MULTILINE)]
            if len(places) != 1:
                raise DoesNotApplyError(
                    f"{self.name}: {hunk.file} holds this {len(places)} times, not once:\n{hunk.old}"
                )
            start, end = places[0]
            texts[hunk.file] = text[:start] + hunk.new + text[end:]
        for file, text in texts.items():
            compile(text, file, "exec")
        return texts


def patches(folder: Path = FOLDER) -> tuple[Patch, ...]:
    """Every patch, by name. Raises ValueError for one that cannot be read."""
    return tuple(read(path.stem, path.read_text()) for path in sorted(folder.glob("*.patch")))


def read(name: str, text: str) -> Patch:
    """Raises ValueError where the rule, a test or a change is missing."""
    head, *pieces = re.split(r"^@@.*\n", text, flags=re.MULTILINE)
    rules = re.findall(r"^Rule: (.+)$", head, re.MULTILINE)
    killers = tuple(re.findall(r"^Test: (.+)$", head, re.MULTILINE))
    hunks: list[Hunk] = []
    file = ""
    for before, piece in pairwise((head, *pieces)):
        file = (re.findall(r"^--- a/(.+)$", before, re.MULTILINE) or [file])[-1]
        hunks.append(_hunk(file, piece))
    idle = [hunk for hunk in hunks if not hunk.file or not hunk.old or hunk.old == hunk.new]
    if len(rules) != 1 or not killers or not hunks or idle:
        raise ValueError(f"{name}: needs one Rule, at least one Test, and hunks that change something")
    return Patch(name, rules[0], killers, tuple(hunks))


def _hunk(file: str, piece: str) -> Hunk:
    """The header of a further file may follow the lines of a hunk."""
    lines = re.split(r"^--- a/", piece, flags=re.MULTILINE)[0].splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    return Hunk(file, old, new)
