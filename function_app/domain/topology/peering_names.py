"""What a peering is called, and whose it is by that name.

A bgpConnection has no tags, so its name says whose it is:

| name                                    | ours                                                        |
|-----------------------------------------|-------------------------------------------------------------|
| `hopkeeper-{topology}_{speaker}`        | yes                                                         |
| `hopkeeper-{topology}_{speaker}.2`      | yes: made while the first one still was there (replacement) |
| anything that `adopt` names             | yes, as it is: never renamed                                |
| anything else, other topologies' too    | no: never touched                                           |
"""

import re

from function_app.domain.topology.model import RouteServer, Topology

PREFIX = "hopkeeper-"


AGAIN = tuple(f".{number}" for number in range(2, 10))
"""What a further name of one speaker ends in; no speaker's name holds a dot."""


def peering_name(topology: str, speaker: str) -> str:
    """`hopkeeper-{topology}_{speaker}`."""
    return f"{PREFIX}{topology}_{speaker}"


def free_name(topology: str, speaker: str, taken: frozenset[str]) -> str:
    """The first name of a speaker that is not `taken` (casefolded); at most eight are, whoever's they are."""
    base = peering_name(topology, speaker)
    return next(base + end for end in ("", *AGAIN) if (base + end).casefold() not in taken)


def is_ours(name: str, topology: str) -> bool:
    """Whether this topology made the peering; Azure compares names without case."""
    return name.casefold().startswith(peering_name(topology, "").casefold())


def adopted_for(server: RouteServer, name: str) -> str | None:
    """The speaker for which an operator adopted this connection."""
    return next((s for s, adopted in server.adopt.items() if adopted.casefold() == name.casefold()), None)


def is_own(topology: Topology, server: RouteServer, name: str) -> bool:
    """Whether the peering may be touched: ours by name, or adopted."""
    return is_ours(name, topology.name) or adopted_for(server, name) is not None


def speaker_named(topology: Topology, server: RouteServer, name: str) -> str | None:
    """The speaker for which a connection of ours was made or adopted; it may have left the topology. None: not ours."""
    if is_ours(name, topology.name):
        return re.sub(r"\.[2-9]$", "", name.casefold().removeprefix(peering_name(topology.name, "").casefold()))
    return adopted_for(server, name)
