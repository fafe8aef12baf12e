"""What the last slow pass saw of a topology, stored in `status/{topology}.json`. The last writer is right."""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.reconcile.documents.findings import Finding, PreflightFinding
from function_app.reconcile.documents.part import Part
from function_app.reconcile.documents.plan import Slots, Step


class RouteServer(Part, frozen=True, kw_only=True):
    """`own` gives the state of each peering of the topology, `foreign` names the others. `slots` and `taken` are null
    where the Route Server could not be read; `most` peers are possible."""

    outcome: str
    instances: tuple[str, ...]
    taken: int | None
    most: int
    slots: Slots | None
    steps: tuple[Step, ...]
    own: dict[str, str]
    foreign: tuple[str, ...]


class RouteCheck(Part, frozen=True, kw_only=True):
    """One service's routes as learned from one speaker; `missing` names what is not as it should be."""

    service: str
    speaker: str
    verified: bool
    missing: tuple[str, ...]


class WriteTokens(Part, frozen=True, kw_only=True):
    """ARM write tokens spent on questions in the last `perSeconds`, and the most that may be."""

    write_tokens: int
    budget: int
    per_seconds: float


class Routes(Part, frozen=True, kw_only=True):
    """Learned, advertised and effective routes against the topology. `asOf` is when the oldest answer was requested, null
    while one is missing; `answers` gives that for each question; `wrong` counts the findings that are wrong;
    `ageSeconds` is there in the status, counted from `asOf`."""

    verified: bool
    complete: bool
    as_of: datetime | None
    checks: tuple[RouteCheck, ...]
    wrong: int
    findings: tuple[Finding, ...]
    answers: dict[str, datetime | None]
    under_way: int
    trouble: tuple[str, ...]
    cost: WriteTokens
    age_seconds: int | UnsetType = UNSET


class NetworkPeering(Part, frozen=True, kw_only=True):
    """`state` is "unknown", with a `reason`, where it could not be read."""

    state: str
    reason: str | UnsetType = UNSET
    settled: bool | UnsetType = UNSET
    flags: dict[str, bool] | UnsetType = UNSET


class Networks(Part, frozen=True, kw_only=True):
    """Flags of network peerings and Route Servers against the topology, read at `asOf`."""

    as_of: datetime
    outcome: str
    reasons: tuple[str, ...]
    peerings: dict[str, NetworkPeering]
    findings: tuple[Finding, ...]
    age_seconds: int | UnsetType = UNSET


class PeerView(Part, frozen=True, kw_only=True):
    """What a member reports of another: whether its gossip and its probe port answer."""

    gossip: str
    probe: str


class Member(Part, frozen=True, kw_only=True):
    """A speaker's agent. Where `reachable` is false there is only a `reason`. `ready`: fit to serve in every service of
    its own. Sessions by address: whether they are established. `clockOffsetSeconds`: its clock minus the app's."""

    reachable: bool
    reason: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    fatal: tuple[str, ...] | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    sessions: dict[str, bool] | UnsetType = UNSET
    outward_sessions: dict[str, bool] | UnsetType = UNSET
    peers: dict[str, PeerView] | UnsetType = UNSET
    clock_offset_seconds: float | UnsetType = UNSET


class Backend(Part, frozen=True, kw_only=True):
    """A member in the backend pool: its adminState, and the reason that the health action gives, if any."""

    admin_state: str
    reason: str | None


class HealthEvent(Part, frozen=True, kw_only=True):
    """A logged health event of the load balancer."""

    at: datetime
    kind: str
    description: str


class Trouble(Part, frozen=True, kw_only=True):
    """What is wrong with a service, whatever is being done: `about` names what, the same from look to look, `since` the first
    look of those without a gap that showed it."""

    about: str
    what: str
    since: datetime


class Service(Part, frozen=True, kw_only=True):
    """`nextHop` is where its routes should lead, as far as that is known; `loadBalancer` why it could not be read, null
    where it was read or there is none. `spares`: by member that does not serve why it could not take over, null where it could;
    it and `troubles` are not there in a document of an older version, or where no look was completed. `metrics` and `events`
    explain only."""

    outcome: str
    reasons: tuple[str, ...]
    next_hop: str | None
    load_balancer: str | None
    backends: dict[str, Backend]
    spares: dict[str, str | None] | UnsetType = UNSET
    troubles: tuple[Trouble, ...] | UnsetType = UNSET
    metrics: dict[str, str]
    events: tuple[HealthEvent, ...]


class LastLook(Part, frozen=True, kw_only=True):
    """One slow pass at `at`; `outcome` is that of its worst part. `preflight` holds the findings of the rules, and
    `preflight_earlier` those of rules that could not be judged this time, as they were found last."""

    schema: Literal["hopkeeper/look/1"] = "hopkeeper/look/1"
    topology: str
    at: datetime
    generation: str
    problems: tuple[str, ...]
    outcome: str
    reasons: tuple[str, ...]
    route_servers: dict[str, RouteServer]
    routes: Routes
    networks: Networks
    members: dict[str, Member]
    services: dict[str, Service]
    preflight: tuple[PreflightFinding, ...]
    preflight_earlier: tuple[PreflightFinding, ...]
