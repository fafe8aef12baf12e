"""A mutant as a value: which rule it breaks, by which change, and which tests should notice."""

from dataclasses import dataclass
from pathlib import PurePosixPath


class DoesNotApplyError(Exception):
    """The code that a mutant changes is not there, or there more than once: the list must follow the code."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`rule` names what is broken: R1 to R7, a finding, a guard or a row of safety.md, or an obligation in words.

    `file` is relative to the tree's root. `old` occurs exactly once in it and becomes `new`; `also` holds further such
    pairs where one rule stands in two places. `killers` are pytest's node ids, tried before everything else.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    killers: tuple[str, ...]
    also: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """The dotted name of the file, as tests import it."""
        parts = PurePosixPath(self.file.removeprefix("nva_agent/")).with_suffix("").parts
        return ".".join(parts)

    def applied(self, text: str) -> str:
        """The file's text with the rule broken. Raises DoesNotApplyError."""
        for old, new in ((self.old, self.new), *self.also):
            times = text.count(old)
            if times != 1:
                raise DoesNotApplyError(f"{self.name}: {self.file} holds {times} times what it changes: {old!r}")
            if old == new:
                raise DoesNotApplyError(f"{self.name}: it changes nothing in {self.file}")
            text = text.replace(old, new)
        return text
