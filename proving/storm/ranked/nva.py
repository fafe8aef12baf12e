"""A simulated announcer: what it announces is durable before it is on the wire, as the real agent's (`duties`)."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hopkeeper_agent import role as rules

from function_app.domain.service.observation import AgentReading, AgentStatus
from function_app.domain.service.steps import Advertisement, SendAdvertise
from function_app.reconcile.ports import AgentCommand
from proving.storm.calls import Call
from proving.storm.nva import TOKEN_SECONDS, Nva

if TYPE_CHECKING:
    from proving.storm.ranked.world import RankedWorld


class Announcer(Nva):
    """A member, or an injector: to the latter no role is ever granted."""

    world: "RankedWorld"

    def reading(self) -> AgentReading:
        """Its signed answer, with its session with each instance."""
        status = super().reading()
        assert isinstance(status, AgentStatus)
        name, mine = self.world.service.name, self.state.advertised
        turn = (mine.turn.epoch, mine.turn.seq) if mine else (0, 0)
        paths = tuple(Advertisement(a.prefix, a.next_hop, a.prepend) for a in mine.advertisements) if mine else None
        service = replace(status.services[name], advertised=paths, advertised_turn=turn)
        sessions = self.world.route_server.established(self.name)
        return replace(status, services={name: service}, sessions=sessions)

    def obey(self, call: Call, command: AgentCommand, issued: float) -> None:
        if self.talks and isinstance(command, SendAdvertise):
            self._queue(call, partial(self._take_path, command, issued))
        else:
            super().obey(call, command, issued)

    def _take_path(self, command: SendAdvertise, issued: float, call: Call | None) -> None:
        if self.world.tokens_expire and self.world.timeline.now - issued > TOKEN_SECONDS:
            self._wrote(call, "expired")
            return
        if self.refuses:
            self._wrote(call, "the speaker is not running")
            return
        wanted = tuple(rules.Advertisement(a.prefix, a.next_hop, a.prepend) for a in command.advertisements)
        order = rules.Advertise(self.world.service.name, rules.Turn(command.epoch, command.seq), wanted)
        verdict = rules.advertise(order, self.state, {})
        if isinstance(verdict, rules.Refused):
            self._wrote(call, verdict.reason)
            return
        advertised = verdict.state.advertised
        if self.world.bugs.keeps_paths and advertised is not None and self.state.advertised is not None:
            advertised = replace(advertised, advertisements=self.state.advertised.advertisements)
        self._write(replace(self.durable, advertised=advertised), call, partial(self._announce, advertised))

    def _announce(self, advertised: rules.Advertised | None, call: Call | None) -> None:
        self.state = replace(self.state, advertised=advertised)
        self.world.route_server.send(self.name)
        self._wrote(call, None)
