"""AS paths as Azure writes them: `65001-65002`, at times with spaces, and an AS_SET in braces (`65001-{65002,65003}`). Pure.

An AS_SET is what aggregation leaves of several paths; it counts as one in a path's length (RFC 4271, 9.1.2.2).
"""

import re

type AsPath = tuple[int | frozenset[int], ...]

PIECES = re.compile(r"\{[^{}]*\}|[^-\s{}]+|[{}]")


def parsed(text: str) -> AsPath:
    """Raises ValueError for what is no AS path."""
    return tuple(_set(piece[1:-1]) if piece[1:] and piece[0] == "{" else _asn(piece) for piece in PIECES.findall(text))


def written(path: AsPath) -> str:
    """As Azure writes it; `parsed` reads it again."""
    return "-".join(
        "{" + ",".join(map(str, sorted(each))) + "}" if isinstance(each, frozenset) else str(each) for each in path
    )


def holds(path: AsPath, asn: int) -> bool:
    """Whether a speaker of this AS would find itself in the path, in a set or not, and drop the route."""
    return any(asn in each if isinstance(each, frozenset) else asn == each for each in path)


def _set(text: str) -> frozenset[int]:
    return frozenset(map(_asn, re.split(r"[,\s-]+", text.strip())))


def _asn(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError(f"{text!r} is no AS number")
    return int(text)
