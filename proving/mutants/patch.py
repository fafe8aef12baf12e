"""A mutant of the safety protocol: a patch that breaks one rule, and the tests that must notice.

    Rule: R2: a grant needs a proof for every other `may_serve`
    Test: tests/unit/test_protocol_rules.py::test_every_other_that_may_serve_needs_its_own_proof

    --- a/function_app/domain/service/decide.py
    +++ b/function_app/domain/service/decide.py
    @@
    -    if not unproven(look):
    +    if len(unproven(look)) < 2:

A hunk has no line numbers: its lines that begin with " " or "-" stand in the file exactly once, and give way to those that
begin with " " or "+". `Test:` may be repeated; the file's name is the mutant's.
"""

import re
from dataclasses import dataclass
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
    rules: list[str] = []
    killers: list[str] = []
    hunks: list[Hunk] = []
    file = ""
    for line in text.splitlines(keepends=True):
        match line[:1], line.partition(" ")[0], bool(hunks):
            case _, "Rule:", False:
                rules.append(line.removeprefix("Rule:").strip())
            case _, "Test:", False:
                killers.append(line.removeprefix("Test:").strip())
            case _, "---", _:
                file = line.removeprefix("--- a/").strip()
            case _, "+++", _:
                pass
            case "@", _, _:
                hunks.append(Hunk(file, "", ""))
            case (" " | "-" | "+" | "\n") as kind, _, True:
                last, said = hunks[-1], line[1:] if kind != "\n" else line
                old, new = last.old + said * (kind != "+"), last.new + said * (kind != "-")
                hunks[-1] = Hunk(last.file, old, new)
            case _ if line.strip():
                raise ValueError(f"{name}: this is neither a header nor a line of a hunk: {line!r}")
    if len(rules) != 1 or not killers or not all(h.file and h.old and h.old != h.new for h in hunks) or not hunks:
        raise ValueError(f"{name}: needs one Rule, at least one Test, and hunks that change something")
    return Patch(name, rules[0], tuple(killers), tuple(hunks))
