"""One look at one service: everything that a decision about it may depend on, and the one parameter of all of them."""

from dataclasses import dataclass, replace
from datetime import datetime

from msgspec.structs import replace as with_fields

from function_app.domain.base.timing import Timing
from function_app.domain.service.observation import (
    AgentStatus,
    Appliance,
    Backend,
    BalancerReading,
    Observed,
    Role,
    Value,
)
from function_app.domain.service.record import Kind, Operation, Phase, Record
from function_app.domain.service.referents import Referents
from function_app.domain.topology.model import Service

LEAP_MAX = 2**20
"""By how much an epoch that is only claimed may exceed what is proven; agents refuse a command that leaps further."""


@dataclass(frozen=True, slots=True)
class Look:
    """`observed.at` is when the readings were requested, `now` when the step would be taken: what lies between is their age.

    Decisions use `observed.at` alone, so that the same readings always give the same decision; only guards use `now`.
    """

    service: Service
    timing: Timing
    observed: Observed
    record: Record
    now: datetime
    named: Referents | None = None
    """What the document means by the names of the service; None where that does not matter."""

    @property
    def at(self) -> datetime:
        """When the readings were requested."""
        return self.observed.at

    @property
    def members(self) -> tuple[str, ...]:
        """By priority, highest first."""
        return self.service.names

    @property
    def operation(self) -> Operation | None:
        """The operation under way, or the last one."""
        return self.record.operation

    @property
    def kind(self) -> Kind | None:
        """Why the operation under way, or the last one, was opened."""
        return Kind(self.record.operation.kind) if self.record.operation else None

    def with_record(self, record: Record) -> "Look":
        return replace(self, record=record)

    def with_status(self, member: str, status: AgentStatus) -> "Look":
        """The same look, had the member's agent said this."""
        return replace(self, observed=self.observed.with_agent(member, status))

    def without_outward(self) -> "Look":
        """The same service, announcing nothing on-premises."""
        return replace(self, service=with_fields(self.service, outward=None))

    def status(self, member: str) -> AgentStatus | None:
        """What its agent reported, None if it did not answer."""
        return self.observed.status(member)

    def backend(self, member: str) -> Backend | None:
        """The member in the backend pool, None where the load balancer was not read, or does not list it."""
        return self.observed.backend(member)

    def reason(self, member: str) -> str | None:
        """The reason that the health action gives for it, if any."""
        backend = self.backend(member)
        return backend.reason if backend is not None else None

    def is_admitted(self, member: str) -> bool:
        """Whether the load balancer's probe of it succeeds, in a reading of this look: it gets new flows."""
        backend = self.backend(member)
        return backend is not None and backend.probed is Value.OK

    def is_unlisted(self, member: str) -> bool:
        """Whether the load balancer was read in this look, and shows no address of it."""
        return isinstance(self.observed.balancer, BalancerReading) and self.backend(member) is None

    def lacks_a_pool(self, member: str) -> bool:
        """Whether the load balancers were read in this look, and one of them at least shows no address of it: no new flows come
        to it there, and those of a sandwich leave by one member and come back to another."""
        backend = self.backend(member)
        return self.is_unlisted(member) if backend is None else backend.partly_unlisted

    def probed(self, member: str) -> Value:
        """What the load balancer's probe says of it. One that a pool does not list, of which every address is known, gets no new
        flows either: BAD. UNKNOWN where it was not read."""
        reading, backend = self.observed.balancer, self.backend(member)
        if backend is not None and not backend.partly_unlisted:
            return backend.probed
        return Value.BAD if isinstance(reading, BalancerReading) and reading.complete else Value.UNKNOWN

    def probe_path(self, member: str) -> Value:
        """Whether the load balancer's probe gets any answer of it (`Backend.path`); UNKNOWN where it was not read."""
        backend = self.backend(member)
        return backend.path if backend is not None else Value.UNKNOWN

    def is_appliance(self, member: str) -> bool:
        """Whether it has no agent: it serves whenever the load balancer lets it."""
        return isinstance(self.observed.agents.get(member), Appliance)

    def obeys(self, member: str) -> bool:
        """Whether an agent answers for it, so that commands can be sent."""
        return self.status(member) is not None

    def role(self, member: str) -> tuple[int, Role] | None:
        """(epoch, role) as its agent reports them; None if it does not answer. An appliance never stands by."""
        if self.is_appliance(member):
            return self.record.epoch, Role.SERVING
        mine = self.observed.service(member, self.service.key)
        return (mine.epoch, mine.role) if mine else None

    def serves(self, member: str) -> bool:
        """Whether its agent reports that it serves, at whichever epoch; of an appliance, whether it gets new flows: by the
        load balancer's probe, or as the next hop that an announcer names."""
        if self.is_appliance(member):
            named = {order.path.next_hop for order in self.observed.ordered.values()}
            return self.is_admitted(member) or member in named
        return self.observed.serves(member, self.service.key)

    def is_unconfirmed(self, member: str) -> bool:
        """Whether its machine has booted since it served: it answers 503 until PROMOTE confirms that (safety.md section 2b)."""
        mine = self.observed.service(member, self.service.key)
        return mine is not None and mine.unconfirmed

    def acked(self, member: str) -> bool:
        """F1: its agent reports, signed, that it stands by at the record's epoch (R3), and would after a reboot (R7). Not by a
        command from before the last PROMOTE of that epoch (`Record.seq`), which may yet arrive."""
        mine = self.observed.service(member, self.service.key)
        if mine is not None and mine.seq < self.record.seq:
            return False
        return mine is not None and mine.durable and (mine.epoch, mine.role) == (self.record.epoch, Role.STANDBY)

    def newest_epoch(self) -> int:
        """The highest epoch that was opened, whatever became of the record (safety.md section 4a).

        Of which an agent shows our own signed command, or which two agents hold, each by itself: agents of version 1 show
        none. Where nothing is known any more one agent's word will do, as an epoch that is too high costs only numbers.
        What is claimed counts up to a leap beyond what is proven.
        """
        reported = [s for name in self.members if (s := self.observed.service(name, self.service.key))]
        warranted = [s.warranted for s in reported]
        held = sorted((s.epoch for s in reported), reverse=True)
        claimed = held + [s.heard for s in reported] if self.record.phase is Phase.LEARN else held[1:2]
        claimed += [order.epoch for order in self.observed.ordered.values()]
        most = max((self.record.epoch, *warranted)) + LEAP_MAX
        return max((*warranted, *(epoch for epoch in claimed if epoch <= most)), default=0)
