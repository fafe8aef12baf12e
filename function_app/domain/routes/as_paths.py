"""AS paths as Azure writes them: `65001-65002`, at times with spaces, and an AS_SET in braces (`65001-{65002,65003}`). Pure.

An AS_SET is what aggregation leaves of several paths; it counts as one in a path's length (RFC 4271, 9.1.2.2).
"""

import re

type AsPath = tuple[int | frozenset[int], ...]

PIECES = re.compile(r"\{[^{}]*\}|[^-\s{}]+|[{}]")
"""An AS_SET, an ASN, or a brace without its counterpart (which is then no ASN)."""


def parsed(text: str) -> AsPath:
    """An AS path as Azure writes it; "" is an empty one. Raises ValueError for what is no AS path."""
    return tuple(map(_segment, PIECES.findall(text)))


def written(path: AsPath) -> str:
    """As Azure writes it; `parsed` reads it again."""
    return "-".join(map(_text, path))


def holds(path: AsPath, asn: int) -> bool:
    """Whether the ASN is in the path, by itself or in an AS_SET: a speaker of this AS drops such a route."""
    return any(asn in each if isinstance(each, frozenset) else asn == each for each in path)


def _segment(piece: str) -> int | frozenset[int]:
    is_set = len(piece) > 1 and piece[0] == "{"
    return _set(piece[1:-1]) if is_set else _asn(piece)


def _text(segment: int | frozenset[int]) -> str:
    return "{" + ",".join(map(str, sorted(segment))) + "}" if isinstance(segment, frozenset) else str(segment)


def _set(text: str) -> frozenset[int]:
    return frozenset(map(_asn, re.split(r"[,\s-]+", text.strip())))


def _asn(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError(f"{text!r} is no AS number")
    return int(text)
