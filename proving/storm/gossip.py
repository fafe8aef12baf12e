"""Heartbeats between agents, without sending each: a link's turns, and what every agent makes of its peers.

A heartbeat matters when something changed: a link came or went, an agent took another turn. Only those are events.
"""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hopkeeper_agent.role import Role

from function_app.domain.service.observation import PeerView, Value
from proving.storm.nva import Nva

if TYPE_CHECKING:
    from proving.storm.world import World

OK = PeerView(Value.OK, Value.UNKNOWN)
SILENT = PeerView(Value.BAD, Value.UNKNOWN)
PROBED = PeerView(Value.BAD, Value.OK)
DEAD = PeerView(Value.BAD, Value.BAD)
UNHEARD = PeerView(Value.UNKNOWN, Value.UNKNOWN)

type Pair = tuple[str, str]
"""(who hears, who speaks)."""


class Gossip:
    """Every ordered pair of agents: whether heartbeats pass, whether the probe port answers, and since when."""

    def __init__(self, world: "World", period: float, fall: int) -> None:
        self._world = world
        self.period = period
        self.window = period * fall
        self.cut: set[Pair] = set()
        """(who speaks, who hears) whose packets are lost on the way."""
        self._links: dict[Pair, tuple[bool, bool]] = {}
        self._stamps: dict[Pair, int] = {}
        self._stood: dict[Pair, int] = {}
        """The highest epoch at which the first has heard the second stand; forgotten when the first restarts."""
        self._failed: set[Pair] = set()
        self._silent_since: dict[Pair, float] = {}

    def begin(self) -> None:
        """Everybody has heard everybody."""
        agents = self._world.agents
        heard = agents.keys() - self._world.bare
        for hearer in (agents[name] for name in sorted(heard)):
            hearer.peers = {name: OK for name in sorted(heard) if name != hearer.name}
            if self._world.bugs.slanders:
                hearer.peers |= {name: DEAD for name in hearer.peers if name == min(agents)}
            for name in hearer.peers:
                self._links[hearer.name, name] = (True, True)
                self._stamps[hearer.name, name] = 0
                self._stood[hearer.name, name] = agents[name].state.turn.epoch

    def relink(self) -> None:
        """Something about the network or an agent has changed: stamps what turned, and lets it be noticed in time."""
        agents = self._world.agents
        for pair, before in self._links.items():
            hearer, speaker = agents[pair[0]], agents[pair[1]]
            heard = speaker.talks and hearer.talks and (pair[1], pair[0]) not in self.cut
            reached = speaker.probe_listens and hearer.talks and not self.cut & {pair, (pair[1], pair[0])}
            now = (heard, reached)
            if now != before:
                self._links[pair] = now
                self._turned(pair)

    def _turned(self, pair: Pair) -> None:
        self._stamps[pair] += 1
        timeline, stamp = self._world.timeline, self._stamps[pair]
        if self._links[pair][0]:
            self._silent_since.pop(pair, None)
            timeline.after(self._world.draw() * self.period, self._hear, pair, stamp)
        else:
            self._silent_since.setdefault(pair, timeline.now)
            timeline.after(self.window + self.period, self._miss, pair, stamp, SILENT)
            settled = PROBED if self._links[pair][1] else DEAD
            timeline.after(2 * self.window + 2 * self.period, self._miss, pair, stamp, settled)

    def views(self, hearer: Nva) -> dict[str, PeerView]:
        """What it reports of its peers now: how long ago the last heartbeat of a silent one was, too."""
        now, since = self._world.timeline.now, self._silent_since
        silent = [
            name for name, view in hearer.peers.items() if view.gossip is Value.BAD and (hearer.name, name) in since
        ]
        ages = {name: timedelta(seconds=max(now - since[hearer.name, name], 0.0)) for name in silent}
        return hearer.peers | {name: replace(hearer.peers[name], age=age) for name, age in ages.items()}

    def booted(self, agent: Nva) -> None:
        """It knows nothing of its peers any more; they hear its new boot."""
        for pair in self._links:
            if pair[0] == agent.name:
                self._stood[pair] = 0
                self._failed.discard(pair)
                self._turned(pair)
        agent.peers = dict.fromkeys(agent.peers, UNHEARD)
        self.relink()

    def tell(self, agent: Nva) -> None:
        """Its turn or role has changed: the next heartbeat says so."""
        for pair, (heard, _) in self._links.items():
            if pair[1] == agent.name and heard:
                self._world.timeline.after(self._world.draw() * self.period, self._hear, pair, self._stamps[pair])

    def _hear(self, pair: Pair, stamp: int) -> None:
        """A heartbeat arrives: the speaker's turn, and the epoch at which it remembers the hearer."""
        if stamp != self._stamps[pair] or not self._links[pair][0]:
            return
        hearer, speaker = self._world.agents[pair[0]], self._world.agents[pair[1]]
        self._see(hearer, pair, OK)
        state = speaker.state
        hearer.claimed = max(hearer.claimed, self._claims(speaker))
        self._stood[pair] = max(self._stood[pair], state.turn.epoch)
        if state.role is Role.SERVING:
            hearer.hear(state.turn.epoch)
        remembered = self._stood[pair[1], pair[0]]
        if remembered > hearer.state.turn.epoch:
            hearer.hear(remembered)
        if hearer.fatal:
            hearer.settle()

    def knows_better(self, hearer: Nva) -> bool:
        """Whether a peer whose heartbeats reach it is at a higher epoch."""
        mine, agents = hearer.state.turn.epoch, self._world.agents
        heard = [pair[1] for pair, (heard, _) in self._links.items() if heard and pair[0] == hearer.name]
        return any(agents[name].state.turn.epoch > mine for name in heard)

    def _claims(self, speaker: Nva) -> int:
        """The highest epoch that its heartbeat names: its own, and those at which it has seen the app command others."""
        seen = (epoch for pair, epoch in self._stood.items() if pair[0] == speaker.name)
        return max(speaker.state.turn.epoch, *seen)

    def _miss(self, pair: Pair, stamp: int, view: PeerView) -> None:
        if stamp == self._stamps[pair] and self._world.agents[pair[0]].talks:
            self._see(self._world.agents[pair[0]], pair, view)

    def _see(self, hearer: Nva, pair: Pair, view: PeerView) -> None:
        if self._world.bugs.slanders and pair[1] == min(self._world.agents):
            view = DEAD
        if hearer.peers[pair[1]] is view:
            return
        hearer.peers = hearer.peers | {pair[1]: view}
        if hearer.fatal:
            hearer.settle()
        if view is DEAD and pair not in self._failed:
            self._failed.add(pair)
            self._world.report(hearer, f"peer failed: {pair[1]}")
        elif view is OK and pair in self._failed:
            self._failed.discard(pair)
            self._world.report(hearer, f"peer returned: {pair[1]}")
