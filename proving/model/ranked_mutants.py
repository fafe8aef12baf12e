"""Mutants of the ranked kinds' rules: each takes one rule away, and a history in `proving.model.ranked` must break by it.

A rule of `domain.service.ranked.paths` is taken away in a copy of its source; one of the world it stands on (agents,
the write-ahead order, what an acknowledgement means) in the model's `World`. The product itself is never changed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from function_app.domain.service.ranked import paths as ranking
from function_app.domain.topology.model import Naming
from proving.model.ranked import Found, Search, Size, World

EARTH = World()


@dataclass(frozen=True, slots=True)
class Mutant:
    """`edits` are (text in the source, text instead), each text once there; `size` is where a history breaks."""

    name: str
    size: Size
    edits: tuple[tuple[str, str], ...] = ()
    world: World = EARTH

    def search(self, states_max: int) -> Found:
        return Search(self.size, mutated(self.name, self.edits), self.world).run(states_max)


PAIR = Size(Naming.SELF, announcers=2, members=2, epochs=2, faults=1)
TRIO = Size(Naming.SELF, announcers=3, members=3, epochs=2, faults=0)
TRIO_LOSING = Size(Naming.SELF, announcers=3, members=3, epochs=2, faults=2)
INJECTORS = Size(Naming.MEMBER, announcers=2, members=2, epochs=2, faults=1)
COUNTED = "for o in before.orders if"
NOTED = "now = replace(before, acked=turn[1]"
TAKEN = ("if n not in taken), 0)", "), 0)")

MUTANTS = (
    Mutant("as short as, not shorter", PAIR, (("min(bound - 1, most)", "min(bound, most)"), TAKEN)),
    Mutant("only what was acknowledged counts", TRIO, ((COUNTED, "for o in before.orders[:1] if"), TAKEN)),
    Mutant("only the latest order counts", INJECTORS, ((COUNTED, "for o in before.orders[-1:] if"),)),
    Mutant("the longest rival counts", TRIO, (("return min((length for", "return max((length for"),)),
    Mutant("one session is enough", PAIR, (("sorted(reach.on_every & reach.answering", "sorted(reach.answering"),)),
    Mutant(
        "who does not answer has no session", PAIR, (("surely_all = len(known) < len(reported)", "surely_all = False"),)
    ),
    Mutant("acknowledged is landed", PAIR, ((NOTED, f"{NOTED}, orders=before.orders[-1:]"),)),
    Mutant("an acknowledgement clears all", TRIO, ((NOTED, "now = replace(before, acked=before.latest.seq"),)),
    Mutant(
        "an order not acknowledged leads",
        PAIR,
        (
            ("for name, announcer in rank.announcers.items() if announcer.acked > 0]", "for name in rank.announcers]"),
            ("for order in announcer.current)", "for order in announcer.orders[-1:])"),
            ("if _own(rank, name) < _bound", "if rank.announcers[name].latest.path.length < _bound"),
        ),
    ),
    Mutant("followers before the lead", INJECTORS, (("if leads and known.latest", "if known.latest"),)),
    Mutant("equal lengths at rest", TRIO_LOSING, (("if n not in taken), None)", "), None)"),)),
    Mutant(
        "all back to rest at once",
        PAIR,
        (
            ("_others_at_rest(rank, lead, reach) or _lead", "_others_at_rest(rank, lead, reach) | _lead"),
            ("_bound(rank, lead, holder), LENGTH_AT_REST)", "LENGTH_MAX, LENGTH_AT_REST)"),
            TAKEN,
        ),
    ),
    Mutant("agents take any order", PAIR, world=World(agents_compare_turns=False)),
    Mutant("sent before it is written", PAIR, world=World(intent_is_durable=False)),
    Mutant("acknowledged before it is sent on", PAIR, world=World(acknowledged_means_sent=False)),
    Mutant("no wait for the hold time", PAIR, world=World(waits_for_updates=False)),
)


def mutated(name: str, edits: tuple[tuple[str, str], ...]) -> ModuleType:
    """A copy of `ranked.paths` with these edits. Raises ValueError where a text is not there exactly once."""
    if not edits:
        return ranking
    source = Path(str(ranking.__file__)).read_text()
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"mutant {name!r}: {source.count(old)} times in the source: {old!r}")
        source = source.replace(old, new)
    module = ModuleType(f"ranking, mutant: {name}")
    # Dataclasses look their module up while they are made.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, module.__name__, "exec"), module.__dict__)  # noqa: S102 (our own source, edited)
    finally:
        del sys.modules[module.__name__]
    return module
