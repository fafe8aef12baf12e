"""What all parts of the world share: time, documents, operations in flight, faults, ids and what was published.

Pure apart from the injected clock and source of ids: no sockets, no sleeping.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from simulator.clock import Agenda, Clock, Pace
from simulator.faults import Faults, WriteFault
from simulator.resources import Json, Resources, key_of


class ArmError(Exception):
    """A request that ARM refuses: status, code and message of the answer."""

    def __init__(
        self, status: int, code: str, message: str, retry_after: int | None = None, details: tuple[Json, ...] = ()
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after  # seconds, into the header as they are
        self.details = details
        self.headers: dict[str, str] = {}


class FlatError(ArmError):
    """A refusal of Azure Monitor's metrics: the body is code and message, without the envelope `error`."""


class OperationStatus(StrEnum):
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


class OperationKind(StrEnum):
    WRITE = "write"
    DELETE = "delete"
    ACTION = "action"


@dataclass(slots=True)
class Operation:
    """A long-running operation. `waits` are the pauses that ARM's answers name, one after the other."""

    id: str
    kind: OperationKind
    target: str
    location: str
    waits: tuple[timedelta, ...]
    started: datetime
    status: OperationStatus = OperationStatus.IN_PROGRESS
    ended: datetime | None = None
    result: Json | None = None
    error: ArmError | None = None

    def wait_at(self, now: datetime) -> timedelta:
        """The pause to name at this moment: the recordings double it as the operation ages.

        A client that waited as it should may come a little early by a clock of whole seconds: a twentieth is let pass.
        """
        begun = self.started
        for wait in self.waits:
            begun += wait
            if now + wait / 20 < begun:
                return wait
        return self.waits[-1] if self.waits else timedelta()


# Pauses that answers name, in Azure's seconds; together they are how long the operation takes.
# Peering create and delete: recorded 2021-06-29. Hub create and delete: recorded 2021-11-05.
PEERING_WAITS = (10.0, 10.0, 20.0, 40.0)
ROUTES_WAITS = (10.0,)
HUB_CREATE_WAITS = (10.0, 10.0, 20.0, 20.0, 40.0, 40.0, 80.0, 160.0)
HUB_PATCH_WAITS = (10.0,)
# A Route Server, recorded 2022-05-10: its hub is made at once; an update and the end of it, its IP configuration, its group.
ROUTE_SERVER_DELETE_WAITS = (10.0,)
ROUTE_SERVER_UPDATE_WAITS = (10.0, 10.0, 20.0, 20.0, 40.0)
ADDRESSES_CREATE_WAITS = (10.0, 10.0, 20.0, 40.0, 80.0, 160.0, *(100.0,) * 8)
ADDRESSES_DELETE_WAITS = (10.0, 10.0, 20.0, 40.0, 80.0, 160.0, *(100.0,) * 4)
GROUP_DELETE_WAITS = (15.0,) * 5
HUB_DELETE_WAITS = (10.0, 10.0, 20.0, 20.0, 40.0, 40.0, 80.0, 160.0, 100.0, 100.0)


@dataclass(slots=True)
class State:
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    agenda: Agenda = field(init=False)
    resources: Resources = field(default_factory=Resources)
    operations: dict[str, Operation] = field(default_factory=dict)
    published: list[Json] = field(default_factory=list)
    subscribers: list[Callable[[Json], None]] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.agenda = Agenda(self.clock)
        self._random = random.Random(self.seed)  # noqa: S311 - ids that a seed replays, not secrets

    def now(self) -> datetime:
        return self.agenda.now()

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_etag(self) -> str:
        return f'W/"{self.new_id()}"'

    def begin(
        self,
        kind: OperationKind,
        document: Json,
        waits: tuple[float, ...],
        finish: Callable[[Operation], None],
    ) -> Operation:
        """Start an operation on `document`; `finish` is called once, when its waits are over, with its status set."""
        pauses = tuple(self.pace.scaled(wait) for wait in waits)
        location = str(document.get("location", "global")).replace(" ", "").lower()
        operation = Operation(self.new_id(), kind, key_of(document["id"]), location, pauses, self.now())
        self.operations[operation.id] = operation

        def end() -> None:
            operation.ended = self.now()
            if operation.status is OperationStatus.IN_PROGRESS:
                fails = self.faults.writes is WriteFault.FAIL and kind is not OperationKind.ACTION
                operation.status = OperationStatus.FAILED if fails else OperationStatus.SUCCEEDED
                if fails:
                    operation.error = ArmError(500, "InternalServerError", "An error occurred.")
            finish(operation)

        self.agenda.after(sum(pauses, timedelta()), end)
        return operation

    def in_flight(self, prefix: str) -> list[Operation]:
        """Writes and deletes under way on the resource or below it. `prefix` is a key (see `key_of`)."""
        return [
            operation
            for operation in self.operations.values()
            if operation.status is OperationStatus.IN_PROGRESS
            and operation.kind is not OperationKind.ACTION
            and (operation.target == prefix or operation.target.startswith(prefix + "/"))
        ]

    def publish(self, kind: str, document: Json) -> None:
        """Note a change of a resource. `kind` is `Write` or `Delete`. Wire formats are made by who subscribes."""
        change = {"id": self.new_id(), "kind": kind, "resource": document, "time": self.now()}
        self.published.append(change)
        for subscriber in self.subscribers:
            subscriber(change)
