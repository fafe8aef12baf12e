"""What was decided about mutants that no test notices: `proving/mutants/survivors.toml`, one entry for each.

    [[survivor]]
    module = "topology/laws"
    function = "_names_are_unique"
    was = "if name in listed[:i]:"
    becomes = "if name in listed[:i + 0]:"
    equivalent = "why no test can tell the two apart"

Where a function has the same change at several places, `occurrence = 2` names the second one; without it, it is the first.
A survivor without an entry fails `make mutants`, and so does an entry whose mutant is gone or is noticed now.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proving.mutants.generic.mutations import Key, Mutant

FILE = Path(__file__).resolve().parents[1] / "survivors.toml"
NO_END = "no end"
"""In place of a test: the tests' process took too long or too much, or ended without a word."""

type Name = tuple[str, str, str, str, int]
"""Module, function, what it was, what it becomes, and which of the places where it does."""
type Seen = Mapping[Key, str | None]
"""By a mutant's key, the test that noticed it, or NO_END; None: none did."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One module: how many mutants, how many a test noticed, how many made the tests never end (tried twice, the second
    time alone), which survivors are left without an answer, which answers have no mutant."""

    module: str
    mutants: int
    noticed: int
    endless: int
    answered: tuple[Name, ...]
    unanswered: tuple[Name, ...]
    idle: tuple[Name, ...]

    @property
    def rate(self) -> float:
        """Noticed, also by tests that never ended, of those that can be: an equivalent mutant cannot."""
        return (self.noticed + self.endless) / max(1, self.mutants - len(self.answered))


def answers(text: str) -> dict[Name, str]:
    """The reason by survivor. Raises ValueError for an entry without one, KeyError for one that names no mutant."""
    found = {}
    for entry in tomllib.loads(text).get("survivor", []):
        name = (entry["module"], entry["function"], entry["was"], entry["becomes"], entry.get("occurrence", 1))
        if not entry.get("equivalent", "").strip():
            raise ValueError(f"no reason is given for {name}")
        found[name] = entry["equivalent"]
    return found


def verdict(module: str, mutants: Iterable[Mutant], seen: Seen, known: Mapping[Name, str]) -> Verdict:
    """What `seen` and the `known` answers come to for one module."""
    came = {(module, *mutant.key): seen[mutant.key] for mutant in mutants}
    alive = [name for name, by in came.items() if by is None]
    endless = list(came.values()).count(NO_END)
    mine = [name for name in known if name[0] == module]
    return Verdict(
        module,
        len(came),
        len(came) - len(alive) - endless,
        endless,
        tuple(name for name in alive if name in known),
        tuple(name for name in alive if name not in known),
        tuple(name for name in mine if name not in alive),
    )


def as_entry(name: Name) -> str:
    """An entry to fill in."""
    *texts, occurrence = name
    quoted = (f"'''{part}'''" if '"' in part or "\n" in part else f'"{part}"' for part in map(str, texts))
    lines = [f"{key} = {text}" for key, text in zip(("module", "function", "was", "becomes"), quoted, strict=True)]
    number = [f"occurrence = {occurrence}"] if occurrence > 1 else []
    return "\n".join(("[[survivor]]", *lines, *number, ""))
