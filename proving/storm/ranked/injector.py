"""What befalls the sessions of a ranked world: reset, or silent until hold timers run out."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from proving.storm.faults import Fault, Kind
from proving.storm.injector import Injector

if TYPE_CHECKING:
    from proving.storm.ranked.world import RankedWorld


class RankedInjector(Injector):
    """See the module."""

    @property
    def _ranked(self) -> "RankedWorld":
        return cast("RankedWorld", self._world)

    def do(self, fault: Fault) -> None:
        if fault.kind is Kind.SESSIONS and fault.how == "silent":
            self._world.say("! %s", fault)
            server = self._ranked.route_server
            self._set(partial(server.unheard.add, fault.who))
            self._later(fault.seconds, partial(self._set, partial(server.unheard.discard, fault.who)))
        else:
            super().do(fault)

    def _set(self, change: Callable[[], object]) -> None:
        change()
        self._ranked.route_server.relink()

    def _say_sessions(self, name: str, up: bool) -> None:
        """The sessions themselves report what becomes of them."""
        self._ranked.agents[name].sessions = up
        self._ranked.route_server.relink()

    def heal(self, lasting: tuple[Fault, ...] = ()) -> None:
        super().heal(lasting)
        self._ranked.route_server.relink()
