"""The keys of every document that Hopkeeper stores: the only place that builds or takes apart one.

| key                                           | written by                    | how                                        |
|-----------------------------------------------|-------------------------------|--------------------------------------------|
| `topologies/{topology}.yaml`                  | operators                     | compare-and-swap; its etag: the generation |
| `good/{topology}.yaml`                        | `apply`                       | overwritten                                |
| `previous/{topology}.yaml`                    | `apply`                       | overwritten                                |
| `records/{topology}/{service}.json`           | passes and orders             | compare-and-swap: the safety protocol      |
| `history/{topology}/{service}/{day}/{time}-{pace}.json` | passes and orders   | once                                       |
| `status/{topology}.json`                      | slow passes                   | overwritten                                |
| `preflight/{topology}.json`                   | slow passes                   | overwritten                                |
| `rehearsals/{topology}/{service}.json`        | rehearsals                    | overwritten                                |
| `peerings/{topology}/{routeServer}.json`      | slow passes                   | compare-and-swap                           |
| `networks/{topology}.json`                    | slow passes                   | compare-and-swap                           |
| `routes/{topology}.json`                      | slow passes                   | compare-and-swap                           |
| `turns/{topology}/lease`, `.../due`           | slow passes                   | compare-and-swap                           |
| `turns/{topology}/asked`                      | requests during a slow pass   | overwritten                                |
| `fences/{topology}/{service}/{member}`        | the pass that fences or lifts | compare-and-swap                           |
| `events/{topology}.json`                      | slow passes                   | compare-and-swap                           |
| `sweep.json`                                  | the sweep                     | overwritten                                |

Only `topologies/` and `records/` are believed, and `good/` while something in it may serve. Every other document may be
missing or torn: it is then made anew.
Names are those of the topology document, which have no slash. What a key may consist of is `adapters.storage.names`.
"""

from datetime import datetime

SWEEP = "sweep.json"
"""When the last sweep came through, and which topologies it woke (`passes.sweeps`)."""

TOPOLOGIES = "topologies/"
"""Prefix of the operators' documents."""

GOOD = "good/"
"""Prefix of the last good document of every topology."""

PREVIOUS = "previous/"
"""Prefix of the document before the last good one, of every topology."""

RECORDS = "records/"
"""Prefix of the records of every service."""

HISTORY = "history/"
"""Prefix of the journals of every service."""

STATUSES = "status/"
"""Prefix of the statuses of every topology."""

PREFLIGHTS = "preflight/"
"""Prefix of what preflight last read, of every topology."""

REHEARSALS = "rehearsals/"
"""Prefix of how rehearsals went, of every service."""

_DOCUMENT = ".yaml"


def topology(name: str) -> str:
    """The operator's newest document (YAML), as written. `Topologies.apply` and editing by hand; compare-and-swap."""
    return f"{TOPOLOGIES}{name}{_DOCUMENT}"


def topology_name(key: str) -> str | None:
    """Of a key that starts with `TOPOLOGIES` or `GOOD`: the topology's name, None where it is no document."""
    return key.partition("/")[2].removesuffix(_DOCUMENT) if key.endswith(_DOCUMENT) else None


def last_good(name: str) -> str:
    """The copy of the last document that decoded. `Topologies.apply`; overwritten."""
    return f"{GOOD}{name}{_DOCUMENT}"


def previous(name: str) -> str:
    """The document that was the last good one before the one that is. `Topologies.apply`; overwritten."""
    return f"{PREVIOUS}{name}{_DOCUMENT}"


def record(topology: str, service: str) -> str:
    """A service's durable state (`domain.service.record.Record`). `Records.save`; compare-and-swap, always."""
    return f"{RECORDS}{topology}/{service}.json"


def history(topology: str, service: str) -> str:
    """Folder of a service's journal: a folder for each day (UTC) in which passes began, `YYYYMMDD/`, whose keys sort by that
    time; so what it costs to find the last entries does not grow with the history. Entries that an earlier version stored
    stand beside these folders."""
    return f"{HISTORY}{topology}/{service}/"


def history_entry(topology: str, service: str, began: datetime, pace: str) -> str:
    """What one pass did and why (`store.journal`). Written once, by that pass."""
    at = stamp(began)
    return f"{history(topology, service)}{day_of(at)}/{at}-{pace}.json"


def stamp(at: datetime) -> str:
    """A time in UTC as keys of the journal spell it: in the order of time, to the microsecond."""
    return at.strftime("%Y%m%dT%H%M%S.%fZ")


def stamp_of(key: str) -> str:
    """Of a key of the journal: the stamp of the time at which its pass began; of one of its folders, the day."""
    return key.rstrip("/").rpartition("/")[2].partition("-")[0].removesuffix(".json")


def day_of(stamp: str) -> str:
    """The day of a stamp, as a folder of the journal is named; of a day, itself."""
    return stamp[:8]


def status(topology: str) -> str:
    """What the last slow pass saw, for people (`passes.summary`). Overwritten."""
    return f"{STATUSES}{topology}.json"


def events(topology: str) -> str:
    """Which events were published, and which wait (`passes.publishing`). Compare-and-swap."""
    return f"events/{topology}.json"


def preflight(topology: str) -> str:
    """What ARM last answered to preflight (`reconcile.preflight`). Overwritten."""
    return f"{PREFLIGHTS}{topology}.json"


def rehearsal(topology: str, service: str) -> str:
    """How the last rehearsal of a service's fence went (`act.rehearse`). Overwritten."""
    return f"{REHEARSALS}{topology}/{service}.json"


def peering_deletes(topology: str, server: str) -> str:
    """Which peering of a Route Server is noted for deletion, and since when (`peerings.deletes`). Compare-and-swap."""
    return f"peerings/{topology}/{server}.json"


def network_repairs(topology: str) -> str:
    """Which flags were repaired when, so that none is written over and over (`reconcile.networks`). Compare-and-swap."""
    return f"networks/{topology}.json"


def route_operations(topology: str) -> str:
    """The ledger of the route listings that ARM works on, and their last answers (`routes.operations`). Compare-and-swap."""
    return f"routes/{topology}.json"


def turn_lease(topology: str) -> str:
    """Which instance makes the slow pass now, and until when (`passes.turns`). Compare-and-swap."""
    return f"turns/{topology}/lease"


def turn_asked(topology: str) -> str:
    """A random text for each request for a slow pass (`passes.turns`). Overwritten."""
    return f"turns/{topology}/asked"


def turn_due(topology: str) -> str:
    """When the next slow pass is due, so that one wake-up is sent for it (`passes.come_back`). Compare-and-swap."""
    return f"turns/{topology}/due"


def fence_lease(topology: str, service: str, member: str) -> str:
    """Which pass fences or lifts this member now, and until when (`act.perform`, ADR 7). Compare-and-swap."""
    return f"fences/{topology}/{service}/{member}"
