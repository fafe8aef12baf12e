"""Rows of ARM's answers that were fetched as raw JSON: each is read by itself, so that a bad one spoils no other.

A row that cannot be read gives an `Unread` that names it; an answer without one readable row raises `Unusable`.
"""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, ip_network

from function_app.adapters.arm.document import Json
from function_app.domain.base.errors import Unusable
from function_app.domain.routes.reading import Unread

TEXT_MAX = 160  # characters of a row or value in a reason


def read[R](rows: Iterable[object], reader: Callable[[Json], Iterator[R | Unread]]) -> tuple[R | Unread, ...]:
    """What `reader` makes of every row; it raises ValueError for one that it cannot read. Raises Unusable."""
    found = [each for row in rows for each in _read(row, reader)]
    unread = [each.said for each in found if isinstance(each, Unread)]
    if unread and len(unread) == len(found):
        raise Unusable(f"not one of {len(found)} rows can be read, the first: {unread[0]}")
    return tuple(found)


def _read[R](row: object, reader: Callable[[Json], Iterator[R | Unread]]) -> list[R | Unread]:
    if not isinstance(row, dict):
        return [named(row)]
    try:
        return list(reader(row))
    except ValueError as error:
        return [named(f"{error}: {row}")]


def named(row: object) -> Unread:
    """An unreadable row or value, as one short line."""
    return Unread(" ".join(str(row).split())[:TEXT_MAX])


def networks(prefix: object) -> tuple[IPv4Network, ...]:
    """A prefix of a row, none where it is IPv6: Route Servers and topologies have IPv4 only. Raises ValueError.

    Bits beyond its length are irrelevant (RFC 4271, section 4.3).
    """
    found = ip_network(str(prefix), strict=False)
    return (found,) if isinstance(found, IPv4Network) else ()
