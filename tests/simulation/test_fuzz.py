"""Broken inputs for whatever reads what comes from outside: a few here, millions by `make fuzz`."""

from random import Random

import pytest

from proving.fuzz.__main__ import fuzz
from proving.fuzz.targets import Target, targets

INPUTS = 400


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_no_broken_input_is_more_than_refused(target: Target) -> None:
    most = INPUTS if target.name not in ("topology", "agent.toml") else INPUTS // 10
    tally = fuzz(target, Random(f"test {target.name}"), seconds=60, most=most)
    assert (tally.inputs, dict(tally.kinds)) == (most, {})


def test_a_reader_that_crashes_is_found_with_what_made_it() -> None:
    def read(data: bytes) -> object:
        return data.decode()

    tally = fuzz(Target("text", read, (b"some text",), ()), Random(1), seconds=60, most=500)
    (kind,) = tally.crashes
    assert kind.startswith("UnicodeDecodeError at ")
    with pytest.raises(UnicodeDecodeError):
        read(tally.crashes[kind])
    assert not tally.is_well
