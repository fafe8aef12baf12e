"""S1r in every history of the ranked kinds up to a size (`proving.model.ranked`); `make model` looks further."""

import pytest

from function_app.domain.topology.model import Naming
from proving.model.ranked import Search, Size
from proving.model.ranked_mutants import MUTANTS, Mutant, mutated

SIZES = (
    Size(Naming.SELF, announcers=2, members=2, epochs=3, faults=1),
    Size(Naming.SELF, announcers=3, members=3, epochs=2, faults=1),
    Size(Naming.SELF, announcers=3, members=3, epochs=3, faults=0),
    Size(Naming.MEMBER, announcers=1, members=3, epochs=3, faults=2),
    Size(Naming.MEMBER, announcers=2, members=2, epochs=2, faults=1),
)
STATES_MAX = 300_000
OF_MUTANTS = sorted({mutant.size for mutant in MUTANTS} - set(SIZES), key=str)
"""What mutants are measured against, where it is not looked at anyhow."""


@pytest.mark.parametrize("size", [*SIZES, *OF_MUTANTS], ids=str)
def test_each_instance_names_one_next_hop_and_both_the_same(size: Size) -> None:
    found = Search(size).run(STATES_MAX)
    assert found.broken is None, "\n".join(found.history)
    assert found.states > 100


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_no_rule_can_be_left_out(mutant: Mutant) -> None:
    found = mutant.search(STATES_MAX)
    assert found.broken is not None
    assert found.history


def test_a_mutant_of_text_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times"):
        mutated("nothing", (("there is no such rule", ""),))
