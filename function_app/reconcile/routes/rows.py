"""Routes as rows of text, as answers are stored between passes: short, for there may be thousands."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from function_app.domain.routes.as_paths import parsed, written
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.reading import LearnedRoute

type Row = tuple[str, ...]

UNLISTED = "?"

_address = lru_cache(maxsize=4096)(IPv4Address)  # thousands of rows name a handful


def readable[R](rows: tuple[Row, ...], route: Callable[[Row], R]) -> tuple[R, ...] | None:
    """All rows as routes, or None: a stored answer may be torn, or written by another program."""
    try:
        return tuple(map(route, rows))
    except ValueError:
        return None


def row_of_peer_route(route: LearnedRoute) -> Row:
    """Instance, network, next hop, AS path, source peer: UNLISTED where Azure does not list it."""
    path = UNLISTED if route.as_path is None else written(route.as_path)
    return str(route.instance), str(route.network), _text(route.next_hop), path, _text(route.source_peer)


def peer_route(row: Row) -> LearnedRoute:
    instance, network, next_hop, path, source = row
    as_path = None if path == UNLISTED else parsed(path)
    return LearnedRoute(_address(instance), IPv4Network(network), _listed(next_hop), as_path, _listed(source))


def _text(address: IPv4Address | None) -> str:
    return UNLISTED if address is None else str(address)


def _listed(text: str) -> IPv4Address | None:
    return None if text == UNLISTED else _address(text)


def row_of_effective_route(route: EffectiveRoute) -> Row:
    """Network, source, next-hop type, next hops, and whether it is active."""
    hops = " ".join(map(str, route.next_hops))
    return str(route.network), route.source, route.next_hop_type, hops, "active" if route.active else "invalid"


def effective_route(row: Row) -> EffectiveRoute:
    network, source, kind, hops, state = row
    return EffectiveRoute(IPv4Network(network), source, kind, tuple(map(IPv4Address, hops.split())), state == "active")
