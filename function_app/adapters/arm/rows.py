"""Rows of ARM's answers that were fetched as raw JSON: each is read by itself, so that one cannot void the others.

What cannot be read is named (`Unread`) beside what can. An answer of which nothing can be read is of no use (`Unusable`).
"""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, ip_network

from function_app.adapters.arm.document import Json
from function_app.domain.base.errors import Unusable
from function_app.domain.routes.reading import Unread

SAID_MAX = 160  # characters of a row or value in a reason


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


def named(said: object) -> Unread:
    return Unread(" ".join(str(said).split())[:SAID_MAX])


def networks(prefix: object) -> tuple[IPv4Network, ...]:
    """A prefix of a row, none where it is IPv6: Route Servers and topologies know no other than IPv4. Raises ValueError.

    Bits of it beyond its length say nothing (RFC 4271, 4.3).
    """
    found = ip_network(str(prefix), strict=False)
    return (found,) if isinstance(found, IPv4Network) else ()
