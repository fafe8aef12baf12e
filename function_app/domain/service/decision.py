"""What was decided about a service: the record as it should be, the effects that it permits, and the reasons."""

from dataclasses import dataclass, replace

from function_app.domain.service.record import Record
from function_app.domain.service.steps import Effect


@dataclass(frozen=True, slots=True)
class Decision:
    """`record` equal to the one given means that nothing durable changes. `held` says what is wanted but not permitted."""

    record: Record
    effects: tuple[Effect, ...] = ()
    held: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    """What a person should know although nothing is to be done."""
    settled: bool = False
    """Nothing is left to do until something changes."""

    def with_record(self, record: Record) -> "Decision":
        return replace(self, record=record)

    def with_more(self, record: Record, effects: tuple[Effect, ...] = (), held: tuple[str, ...] = ()) -> "Decision":
        """The same with a further change of the record, and effects and holds added: settled only if nothing was."""
        settled = self.settled and not effects and not held and record == self.record
        return replace(self, record=record, effects=self.effects + effects, held=self.held + held, settled=settled)
