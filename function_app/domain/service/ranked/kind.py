"""What the kinds without a load balancer have in common: the target is named by the shortest AS path (safety.md section 3)."""

from msgspec.structs import replace

from function_app.domain.service import confirm, protocol
from function_app.domain.service.bounds import Bound, Probe, noticed, ranked_bounds, with_agents
from function_app.domain.service.decision import Decision
from function_app.domain.service.election import elect, is_last_choice, set_back
from function_app.domain.service.health import has_failed, has_session
from function_app.domain.service.kind import NextHopKind
from function_app.domain.service.look import Look
from function_app.domain.service.patience import patience_is_over
from function_app.domain.service.ranked.paths import LENGTH_AT_REST, Rank
from function_app.domain.service.ranked.steps import back_to_rest, best_names, is_behind, known_rank, noted, outrank_for
from function_app.domain.service.record import Kind, Phase, Record
from function_app.domain.service.steps import REFUSED, SendPath
from function_app.domain.topology.model import Service, Topology


class Ranked(NextHopKind):
    """Exclusive by outranking: no member is fenced, and one that is gone is not waited for."""

    is_ranked = True

    def length_at_rest(self, service: Service, announcer: str) -> int:
        """Every announcer has its own: equal lengths would be used side by side."""
        return LENGTH_AT_REST + service.announcers.index(announcer)

    def make_way(self, look: Look, target: str) -> Decision:
        return outrank_for(look, target)

    def prove(self, look: Look, target: str) -> Decision:
        """The proof is that the best path names the target, whatever is still to arrive."""
        record = look.record
        if lead := best_names(record, target):
            operation = record.operation and protocol.granted_now(look, record.operation)
            granted = replace(record, phase=Phase.GRANTED, may_serve=record.may_serve | {target}, operation=operation)
            why = (
                f"{target} is granted epoch {record.epoch}: by {lead} it has the shortest AS path that may be announced"
            )
            return Decision(granted, protocol.promote(look.with_record(granted), target), because=(why,))
        ranked = outrank_for(look, target)
        failed = tuple(
            f"{effect.member} was not moved: {why}"
            for effect, why in look.observed.tried.items()
            if isinstance(effect, SendPath)
        )
        held = (*ranked.held, *failed)
        given_up = self._given_up(look, target, "; ".join(held)) if held and not ranked.effects else None
        return given_up or Decision(ranked.record, ranked.effects, held)

    def confirm(self, look: Look, target: str) -> Decision:
        """There is no probe that could disagree."""
        return confirm.rest(look.record, f"{target} serves at epoch {look.record.epoch}, verified")

    def noted(self, look: Look) -> Record:
        return noted(look)

    def rank(self, look: Look) -> Rank | None:
        return known_rank(look)

    def contradicted(self, look: Look) -> str | None:
        return "an announcer was given an order that this record does not know" if is_behind(look) else None

    def announce(self, look: Look, decision: Decision) -> Decision:
        """Once granted, the other announcers follow; at rest the paths are lengthened again."""
        record, holder = decision.record, decision.record.holder
        if holder is None:
            return decision
        decided = look.with_record(record)
        ranked = outrank_for(decided, holder)
        held = ranked.held
        if record.phase is Phase.STABLE and ranked.record == record and not ranked.effects:
            ranked = back_to_rest(decided, holder)
            held += ranked.held
        return decision.with_more(ranked.record, ranked.effects, held)

    def bounds(self, service: Service, topology: Topology, probe: Probe) -> tuple[Bound, ...]:
        return noticed(topology, ranked_bounds(topology.timing, with_agents(service, topology)))

    def _given_up(self, look: Look, target: str, why: str) -> Decision | None:
        """The fit member that the best path still names goes on. Where there is none, a target that announces itself is
        followed by the next one, once it refused its path or patience is over."""
        record = look.record
        if named := self._still_named(look):
            back = f"{why}; the best path still names {named}"
            return protocol.open_operation(look.with_record(protocol.uncounted(record)), named, Kind.BACK, back)
        if not self.holder_announces:
            return None
        if _has_refused(look, target):
            look = set_back(look, target)
        elif not patience_is_over(look):
            return None
        other = elect(look, without=target)
        if other is None or not _is_worth_a_try(look, other, target):
            return None
        return protocol.open_operation(look, other, Kind.NEXT, why)

    def _still_named(self, look: Look) -> str | None:
        """The member that is fit and that the best path still names, if its agent answers and something reaches it."""
        fit = (name for name in look.members if look.role(name) is not None and not has_failed(look, name))
        reached = (name for name in fit if not self.holder_announces or has_session(look, name))
        return next((name for name in reached if best_names(look.record, name)), None)


def _is_worth_a_try(look: Look, other: str, target: str) -> bool:
    """Whether it is more than a last choice, or something reaches it and nothing the target."""
    return not is_last_choice(look, other) or (has_session(look, other) and not has_session(look, target))


def _has_refused(look: Look, announcer: str) -> bool:
    """Whether its agent refused a path in this look."""
    mine = ((e, why) for e, why in look.observed.tried.items() if isinstance(e, SendPath) and e.member == announcer)
    return any(why.startswith(REFUSED) for _, why in mine)
