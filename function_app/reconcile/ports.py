"""What a pass needs of the world: one Protocol a concern, one to four methods each. Adapters implement them.

Errors: every method may raise `Unavailable` (come back later), `BadInput` for a name that cannot be (a key, an id);
conditional writes raise `Superseded`, also when their reply was lost although they happened: read again. Nothing else
crosses: an adapter translates whatever its library raises.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Protocol

from function_app.domain.brownfield.inventory import BalancerFound
from function_app.domain.networks.flags import NetworkPeeringReading, RepairFlags
from function_app.domain.peerings.model import CreatePeering, DeletePeering, RouteServerReading
from function_app.domain.peerings.scale_sets import Instance
from function_app.domain.preflight.facts import AppSubnetFacts, Denied, InterfaceFacts
from function_app.domain.routes.effective import EffectiveRoute
from function_app.domain.routes.reading import LearnedRoute, Unread
from function_app.domain.service.balancer import BalancerFacts
from function_app.domain.service.observation import AdminState, AgentReading, BalancerReading, Value
from function_app.domain.service.steps import SendAdvertise, SendFence, SendOutward, SendPromote
from function_app.domain.topology.model import NetworkPeering, RouteServer, ScaleSet, Service, Speaker
from function_app.reconcile.documents.event import Event
from function_app.reconcile.telemetry import Measure, Span


class Clock(Protocol):
    """Wall-clock time for what is written down, and waiting."""

    def now(self) -> datetime: ...

    async def sleep(self, duration: timedelta) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A document and the etag that a conditional write of it must carry."""

    body: bytes
    etag: str


class Documents(Protocol):
    """Small documents under slash-separated keys, with compare-and-swap by etag (Blob Storage, or a directory)."""

    async def load(self, key: str) -> Stored | None:
        """The document, or None where there is none."""

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        """Writes if the etag still is the stored one (None: only if absent) and gives the new etag. Raises Superseded."""

    async def put(self, key: str, body: bytes) -> None:
        """Writes whatever is there: for documents whose last writer is right (status, history)."""

    async def remove(self, key: str, etag: str) -> None:
        """Takes the document away if the etag still is the stored one. Raises Superseded."""

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Every key that starts with `prefix`, sorted."""

    async def below(self, folder: str) -> tuple[str, ...]:
        """What is directly below a folder, whose name ends with a slash, sorted: keys, and folders, which end with one."""

    async def versions(self, prefix: str) -> Mapping[str, str]:
        """The same, each with something that is another one after every write."""


class WakeUps(Protocol):
    """A queue of topology names to look at, each visible after a delay (Storage Queue, or a directory)."""

    async def send(self, topology: str, after: timedelta) -> None: ...


class Agents(Protocol):
    """The agents on the NVAs. An agent that does not answer, or whose answer is not authentic, is a reading, not an error."""

    async def status(self, topology: str, speaker: Speaker, timeout: timedelta) -> AgentReading: ...

    async def command(
        self, topology: str, speaker: Speaker, service: str, command: "AgentCommand", timeout: timedelta
    ) -> "CommandAnswer": ...


class MemberChecks(Protocol):
    """The app's own checks, from its subnet, of members without an agent."""

    async def reaches(self, speaker: Speaker, timeout: timedelta) -> Value:
        """Whether one trial of its `watch` succeeds; UNKNOWN where the app can make none (`ping`), or has no way there."""


class SignedReport(Protocol):
    """A report as it came in: what it claims, not verified, only good for choosing the certificate to verify it with."""

    @property
    def agent(self) -> str: ...

    @property
    def topology(self) -> str: ...

    def verify(self, certificate: str, now: datetime) -> str:
        """Checks it against the agent's enrolled certificate (PEM) and gives its reason, in one line.

        Raises NotAuthentic where another key signed it, or not just now, or not for this app; BadInput where it is
        malformed.
        """


class Reports(Protocol):
    """Agents' signed reports."""

    def claimed(self, text: str) -> SignedReport:
        """Raises BadInput for what is no signed report."""


type AgentCommand = SendFence | SendPromote | SendAdvertise | SendOutward


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """An agent's reply to a command: its new status, and why it refused if it did."""

    reading: AgentReading
    refused: str | None = None


type Recheck = Callable[[], Awaitable[bool]]
"""Whether the record is still the one this effect was decided on: checked between the GET and the PUT (finding 9)."""


class LoadBalancers(Protocol):
    """The internal load balancer of a service, through ARM."""

    def warm(self) -> None:
        """Begins what a first call would have to wait for (the SDK's import), without waiting."""

    async def read(self, service: Service, speakers: Mapping[str, Speaker], timeout: timedelta) -> BalancerReading:
        """Frontend, etag, and per member adminState and the health action's reason."""


DOWN_ADMIN = "Down_Admin"  # the reason code of a backend that is down because of its adminState (finding 7)


@dataclass(frozen=True, slots=True)
class PoolView:
    """The backend pool as one member's fence needs it."""

    etag: str
    """Of the load balancer and everything in it."""
    admin_state: AdminState | None
    """None where no address of the pool is the member's."""
    unprovable: str | None = None
    """Why neither adminState here nor being out of this pool would stop every new flow to the member: no proof of anything."""
    address: str = ""
    """Which one the member is (`observation.Backend.address`); empty where it is none."""


class AdminStates(Protocol):
    """One member's adminState in a service's backend pool, one ARM operation a method; `fencing` has their order.

    Each method bounds itself. All raise Unavailable where it is not known which address is the member's.
    """

    async def look(self, service: Service, speaker: Speaker) -> PoolView: ...

    async def set(self, service: Service, speaker: Speaker, state: AdminState, etag: str) -> PoolView:
        """Writes this member's state and nothing else if the etag still is `etag`, waits for the success, looks again.

        Raises Unavailable for a member that the pool does not list, Superseded where another write came first or after,
        Terminal where the pool's membership changed with the write (stop and page) and for `UP`, which is never written.
        """

    async def bump(self, service: Service, etag: str) -> None:
        """Changes the etag and nothing else. Raises Superseded."""

    async def health_reason(self, service: Service, speaker: Speaker) -> str | None:
        """What the rule's health action says of the member now; None where it says nothing. A failure is no silence."""


@dataclass(frozen=True, slots=True)
class BalancerWrite:
    """One adminState write: for which member, for which epoch, and how it is checked just before."""

    service: Service
    speaker: Speaker
    epoch: int
    recheck: Recheck
    settle: timedelta
    """Waited in place of a word from the health action where that stays empty."""
    timeout: timedelta
    wary: bool = False
    """Whether a lift of an earlier operation may still be on its way: see `FenceByBalancer`."""
    beside_operator: bool = False
    """Whether it is only written where an operator's Down is there already: see `FenceByBalancer`."""
    hidden: str | None = None
    """Why it proves nothing that a pool does not list the member (`BalancerReading.hides`), by what this pass has read."""


class RouteServers(Protocol):
    """Route Servers and their peerings, through ARM. No method waits for a long-running operation."""

    async def read(self, server: RouteServer) -> RouteServerReading: ...

    async def create(self, server: RouteServer, step: CreatePeering) -> None: ...

    async def delete(self, server: RouteServer, step: DeletePeering) -> None: ...


class ScaleSets(Protocol):
    """Scale sets that speakers come from, through ARM."""

    async def instances(self, scale_set: ScaleSet) -> tuple[Instance, ...]:
        """Every instance that is listed with an address; those that are Deleting say so."""


class PeerRoutes(Protocol):
    """Routes learned from a peer, or advertised to it: a long-running operation that costs a write token, started in
    one pass and fetched in a later one."""

    async def ask(self, server: RouteServer, peering: str) -> str:
        """Starts it and gives a token to fetch with."""

    async def fetch(self, token: str) -> tuple[LearnedRoute | Unread, ...] | None:
        """The routes with what of them could not be read, or None while they are not there yet.

        Unavailable: keep the token; BadInput: it is lost, ask again; Unusable: ask again, but not soon.
        """


class EffectiveRoutes(Protocol):
    """Where a network interface sends packets: as `PeerRoutes`, queried by the interface's resource id."""

    async def ask(self, interface: str) -> str: ...

    async def fetch(self, token: str) -> tuple[EffectiveRoute | Unread, ...] | None: ...


class NetworkFlags(Protocol):
    """Network peerings and the flags of Route Servers, through ARM. No method waits for a long-running operation."""

    async def read(self, peering: NetworkPeering) -> NetworkPeeringReading: ...

    async def repair(self, step: RepairFlags) -> None:
        """Begins to write the step's flags and leaves everything else as it is. Raises Unavailable or Superseded."""


class Surroundings(Protocol):
    """What only preflight reads of ARM, far from every failover; a 403 is an answer (`Denied`), not an error."""

    async def location(self, server: RouteServer) -> str | Denied: ...

    async def balancer(self, service: Service) -> BalancerFacts | Denied: ...

    async def interface(self, speaker: Speaker) -> InterfaceFacts | Denied:
        """The speaker's `interface`, its subnet's route table and its virtual network."""

    async def app_subnet(self) -> AppSubnetFacts | Denied | None:
        """The subnet that the app itself leaves through; None where no setting names it."""


class Landscape(Protocol):
    """What is there before there is a topology, through ARM: for `reconcile.inventory` alone. Reads only."""

    async def route_servers(self, group: str) -> tuple[str, ...]:
        """The ids of the Route Servers in a resource group, which its id names."""

    async def balancers(self, group: str) -> tuple[BalancerFound, ...]:
        """The load balancers in a resource group."""

    async def interface(self, interface: str) -> Mapping[str, IPv4Address]:
        """The addresses of a network interface, by id of IP configuration in lower case."""


class Metrics(Protocol):
    """Load-balancer metrics: they confirm, they never are the detector (azure-facts.md section 4)."""

    async def probe_availability(
        self, load_balancer: str, addresses: tuple[IPv4Address, ...]
    ) -> Mapping[IPv4Address, Value]:
        """DipAvailability of the last minutes per backend; UNKNOWN where it is late or missing."""


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One logged load-balancer health event: explanation only."""

    at: datetime
    kind: str
    description: str


class HealthLogs(Protocol):
    """Load-balancer health events in Log Analytics; for explanations, never on the failover path."""

    async def recent(self, load_balancer: str, since: timedelta) -> tuple[HealthEvent, ...]: ...


class EventsOut(Protocol):
    @property
    def publishes(self) -> bool:
        """Whether anybody is to be informed at all."""

    async def publish(self, event: Event) -> None:
        """Raises Unavailable where it is not certain that it was taken; it is sent again then, with the same id."""


class Telemetry(Protocol):
    """Takes spans and measures for OpenTelemetry. No method waits, raises, or sends anything itself: a failover is on its way."""

    @property
    def records(self) -> bool:
        """Whether what it takes goes anywhere."""

    def ended(self, span: Span) -> None: ...

    def measured(self, measures: Iterable[Measure]) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a pass may touch; `wiring` makes the real one, tests make theirs."""

    clock: Clock
    documents: Documents
    wake_ups: WakeUps
    agents: Agents
    member_checks: MemberChecks
    reports: Reports
    load_balancers: LoadBalancers
    admin_states: AdminStates
    route_servers: RouteServers
    scale_sets: ScaleSets
    learned_routes: PeerRoutes
    advertised_routes: PeerRoutes
    effective_routes: EffectiveRoutes
    network_flags: NetworkFlags
    surroundings: Surroundings
    metrics: Metrics
    health_logs: HealthLogs
    events_out: EventsOut
    telemetry: Telemetry
