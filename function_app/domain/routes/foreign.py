"""Routes of peers that do not announce a ranked service, to its prefixes: which of them the Route Server would not pass over.

A conflict that no length of ours can be trusted in: at the lead's length both are used side by side, below it the other alone.
"""

from collections.abc import Iterator, Mapping

from function_app.domain.routes.reading import LearnedRoute
from function_app.domain.topology.model import Service


def contested(service: Service, lead: int, others: Mapping[str, tuple[LearnedRoute, ...]]) -> tuple[str, ...]:
    """In words, a route for each of `others` (by `Route Server/peer`) that has one to a prefix of the service whose AS path is
    not longer than `lead`, the holder's at rest. A path that is not reported is unknown."""
    return tuple(dict.fromkeys(_tying(service, lead, others)))


def _tying(service: Service, lead: int, others: Mapping[str, tuple[LearnedRoute, ...]]) -> Iterator[str]:
    for peer, routes in sorted(others.items()):
        for route in routes:
            if route.network in service.prefixes and route.as_path is not None and len(route.as_path) <= lead:
                length = f"an AS path of {len(route.as_path)}, and the holder's is {lead}"
                yield f"{peer} announces {route.network} as well, with {length}: the Route Server may use it"
