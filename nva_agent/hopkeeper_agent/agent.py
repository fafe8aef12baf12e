"""One running agent: which part uses which, and in what order they start and end.

Order of start: state, gossip, commands, and one gossip window later the probe: by then a returning holder has received
the heartbeat of a newer one, before it could answer 200 (ADR 3). If the machine has booted since it served, the boot window
follows, in which it waits for the app to confirm its role (safety.md section 2b).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import datetime, timezone
from typing import Any

from hopkeeper_agent import loading
from hopkeeper_agent.admission import PLATFORM, Admission
from hopkeeper_agent.checks import Examiner, of_the_disk, with_sessions
from hopkeeper_agent.clock import Clock
from hopkeeper_agent.commands import CommandEndpoint
from hopkeeper_agent.config import Config, PeerConfig
from hopkeeper_agent.delivery import HttpPost
from hopkeeper_agent.door import Door, Roles
from hopkeeper_agent.gossip import Gossip
from hopkeeper_agent.identity import Issuer
from hopkeeper_agent.listener import Listener, opening
from hopkeeper_agent.maintenance import Lookout
from hopkeeper_agent.peer_probe import answers_http
from hopkeeper_agent.probe import probe_handler
from hopkeeper_agent.reports import Reportable, Reporter, changes
from hopkeeper_agent.role import Command, ServiceState, Toward
from hopkeeper_agent.speakers import SessionState
from hopkeeper_agent.status import Parts, reportable, status

log = logging.getLogger(__name__)

BOOT_WINDOW_SECONDS = 10.0
"""So long a machine that has booted leaves the app to confirm what it did before: a report and a pass take about 2 s."""


class Agent:
    """One running agent. Make it, `start` it and `close` it in the same event loop."""

    def __init__(self, config: Config, boot_window_seconds: float = BOOT_WINDOW_SECONDS) -> None:
        """Read keys and state. Raises ConfigError, or OSError if the state directory cannot be used."""
        self.config = config
        self._boot_window_seconds = boot_window_seconds
        self._clock = Clock()
        own = loading.credentials(config)
        self._issuer = Issuer(config.agent.identity, own.signer, self._clock)
        self._speaker = loading.speaker(config, self._look)
        self.duties, self._trust = loading.duties(config, self._speaker)
        self._lookout = None if config.maintenance is None else Lookout(config.maintenance, self._look)
        checks = [*with_sessions(config.checks, self._established), of_the_disk(config.agent.files.state)]
        self._examiner = Examiner(checks, self._clock, self._look)
        self._watched = Examiner([watch.check for watch in config.watch], self._clock, self._look)
        self._gossip = Gossip(self._issuer, self.duties, own.ring, self._examiner.failing)
        self.watches = {peer.name: self._gossip.enrol(loading.neighbour(peer), config.tempo) for peer in config.peers}
        ports, peers = config.ports, [peer.address for peer in config.peers]
        endpoint = CommandEndpoint(own.ring, self._issuer, self)
        self.commands = Listener("command", endpoint.handle, own.tls, Admission.of(ports.command_from))
        self.probe = Listener(
            "probe", probe_handler(self), admission=Admission.of(ports.probe_from, [PLATFORM, *peers])
        )
        self._parts = Parts(
            identity=config.agent.identity,
            clock=self._clock,
            duties=self.duties,
            examiner=self._examiner,
            peers=self.watches,
            speaker=self._speaker,
            probe=self.probe,
            lookout=self._lookout,
            watched=self._watched.tallies,
        )
        self._roles = Roles()
        self._started = datetime.fromtimestamp(self._clock.wall(), timezone.utc)
        self._door = Door(config.agent.files.state, self.shown)
        self._reported = Reportable()
        self._post: HttpPost | None = None
        self._reporter: Reporter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """The state of each service, as the probe answers by it."""
        return self.duties.states

    @property
    def beats(self) -> int:
        """How many heartbeats were sent since the start."""
        return self._gossip.beats

    def fatal(self) -> tuple[str, ...]:
        """Why the appliance is unfit; empty means fit."""
        return self._parts.fatal()

    async def obey(self, command: Command) -> str | None:
        """Carry an authentic command out; None when it is accepted, else why it is refused."""
        return await self.duties.obey(command)

    def status(self) -> dict[str, Any]:
        """The status object as the app gets it."""
        return status(self._parts)

    def shown(self) -> dict[str, Any]:
        """What `hopkeeper-agent status` shows: the status object, and since when and why each service has its role."""
        self._note_roles()
        return {"status": self.status(), "roles": self._roles.shown(), "started": self._started.isoformat()}

    async def start(self) -> None:
        """Open everything; returns when the probe answers. Raises ConfigError for an address or port that is not
        available."""
        config = self.config
        if config.reports is not None:
            self._post = HttpPost(config.reports.url, config.reports.key_file)
            self._reporter = Reporter(self._post, self._issuer, self.status)
        with opening("gossip", config.agent.address, config.ports.gossip):
            await self._gossip.open(config.agent.address, config.ports.gossip)
        await self.commands.open(config.agent.address, config.ports.command)
        await self._door.open()
        await self._speaker.start()
        self._examiner.start()
        self._watched.start()
        if self._lookout is not None:
            self._lookout.start()
        self._spawn(self._beat())
        self._spawn(self._try_overdue())
        if self._trust.is_whole:
            self._spawn(self.duties.announce())
        else:
            # Made durable at once: at the next start nothing would show that the file is not to be trusted.
            log.error("the state file is not trusted: standing by", extra={"why": self._trust.value})
            self.duties.make_durable_soon()
        if config.peers:
            await asyncio.sleep(config.tempo.window_seconds)
        if self._trust.is_whole:
            # Only now: a holder that was replaced has received its successor's heartbeat.
            self._spawn(self.duties.announce_outward())
        await self.probe.open(config.agent.address, config.ports.probe, config.ports.probe_also)
        self._spawn(self._believe())
        self._report("start-up")
        log.info("agent started", extra={"boot_id": self.duties.boot_id, "why": f"state file: {self._trust.value}"})

    def announce_restart(self) -> None:
        """Let peers know that this agent ends, and is expected back in a few seconds."""
        self._gossip.announce_restart()

    async def close(self) -> None:
        """Stop answering, then close everything else; the speaker's routes stay."""
        await self.probe.close()
        await self.commands.close()
        await self._door.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gossip.close()
        await self._examiner.close()
        await self._watched.close()
        if self._lookout is not None:
            await self._lookout.close()
        await self._speaker.close()
        if self._reporter is not None:
            await self._reporter.close()
        if self._post is not None:
            await self._post.close()
        await self.duties.close()

    def _established(self) -> int:
        inward = [session for session in self._speaker.sessions().values() if session.toward is Toward.ROUTE_SERVERS]
        return sum(session.state is SessionState.ESTABLISHED for session in inward)

    async def _believe(self) -> None:
        await asyncio.sleep(self._boot_window_seconds)
        self.duties.believe()

    async def _beat(self) -> None:
        period = self.config.tempo.period_seconds
        due = self._clock.monotonic()
        while True:
            self._gossip.beat()
            self._look()
            due = max(due + period, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())

    async def _try_overdue(self) -> None:
        """Try the probe ports of peers whose heartbeat is overdue, twice a period.

        The tries overlap and begin before the gossip reading is bad. One after the other, both readings of a peer that dies
        silently would take twice as long to turn bad.
        """
        period = self.config.tempo.period_seconds
        while True:
            now = self._clock.monotonic()
            for peer in self.config.peers:
                if self.watches[peer.name].suspect(now):
                    self._spawn(self._try_probe(peer))
            self._look()
            await asyncio.sleep(period / 2)

    async def _try_probe(self, peer: PeerConfig) -> None:
        watch = self.watches[peer.name]
        if await answers_http(peer.address, peer.probe, self.config.tempo.period_seconds):
            watch.probe_answered()
        elif watch.suspect(self._clock.monotonic()):
            watch.probe_silent()
        self._look()

    def _note_roles(self) -> None:
        self._roles.note(self.duties.states, self.duties.why, self._clock.wall())

    def _look(self) -> None:
        self._note_roles()
        before, self._reported = self._reported, reportable(self._parts)
        if reasons := changes(before, self._reported):
            self._report("; ".join(reasons))

    def _report(self, reason: str) -> None:
        if self._reporter is not None:
            self._reporter.report(reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
