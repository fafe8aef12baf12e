"""AS paths as Azure writes them."""

import re

import pytest

from function_app.domain.routes.as_paths import AsPath, holds, parsed, written


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("65001", (65001,)),
        ("65001-65002-65002", (65001, 65002, 65002)),
        ("65001 - 65002", (65001, 65002)),
        ("65001-{65002,65003}", (65001, frozenset({65002, 65003}))),
        ("{65003, 65002}-12076", (frozenset({65002, 65003}), 12076)),
        ("{65002-65003}", (frozenset({65002, 65003}),)),
        ("{ 65002 }", (frozenset({65002}),)),
        ("4294967295", (4294967295,)),
    ],
)
def test_a_path_is_read_with_its_sets_and_spaces(text: str, path: AsPath) -> None:
    assert parsed(text) == path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("i", "i"),
        ("65001-x", "x"),
        ("{", "{"),
        ("}", "}"),
        ("{65001", "{"),
        ("65001}", "}"),
        ("{}", ""),
        ("{a}", "a"),
        ("12345678901", "12345678901"),
    ],
)
def test_what_is_no_path_is_an_error_that_names_the_piece(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"^'{re.escape(named)}' is no AS number$"):
        parsed(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        ((65001, 65002), "65001-65002"),
        ((65001, frozenset({65003, 65002})), "65001-{65002,65003}"),
        ((frozenset({65008, 65007}),), "{65007,65008}"),
    ],
)
def test_a_path_is_written_as_azure_writes_it(path: AsPath, text: str) -> None:
    assert written(path) == text
    assert parsed(text) == path


def test_an_asn_in_a_set_is_in_the_path() -> None:
    path = parsed("65001-{65002,65003}")
    assert [holds(path, asn) for asn in (65001, 65002, 65003, 65004)] == [True, True, True, False]
    assert not holds((), 65001)
