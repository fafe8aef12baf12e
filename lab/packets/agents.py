"""Our agents on the NVAs of a world: keys, configurations, processes. Everything as on a real NVA, but for addresses."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.kit.agent_toml import AgentFile, Listen, Peer, data_path, table
from lab.packets.data_path import HEALTH
from lab.packets.fabric import ADDRESSES, NVAS
from lab.packets.lab import Lab
from lab.packets.prober import PORT
from lab.packets.speakers import DAEMONS, Speaking
from tools.processes import ToolError

COMMAND, PROBE, GOSSIP = 8443, 8080, 8444
CHECK_PERIOD, CHECK_FALL = 0.1, 3
"""The data-path check's period in seconds, and how many failures it takes; the topology's timing says the same."""


@dataclass(frozen=True, slots=True)
class AgentSetting:
    """What one kind of service wants of its agents: one on each of `nodes`, and BGP on those that have an ASN. `witnesses` of
    them serve nothing. Each agent watches `watched`, members without an agent."""

    topology: str
    report_url: str
    nodes: tuple[str, ...]
    asns: Mapping[str, int]
    hold: int = 9
    speaker: str = "exabgp"
    witnesses: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    watch_seconds: float = 0.5
    """How long a trial of one of them may take."""


class Agents:
    def __init__(self, lab: Lab, setting: AgentSetting) -> None:
        self._lab = lab
        self._setting = setting
        self._daemon = DAEMONS[setting.speaker]
        if self._daemon.missing is not None:
            raise ToolError(f"the packet lab needs {self._daemon.missing}")
        for node in setting.nodes:
            home = str(lab.directory / node)
            argv = [sys.executable, "-m", "hopkeeper_agent.main", "enroll", home, "--name", node]
            subprocess.run(argv, check=True, capture_output=True, timeout=60)

    def certificate(self, node: str) -> Path:
        return self._lab.directory / node / "agent.crt"

    def start(self, nodes: Iterable[str]) -> None:
        """Starts daemons and agents; the data path is a program of its own."""
        for node in nodes:
            if node in self._setting.asns:
                self._daemon.start(self._lab, self._speaking(node))
            config = self._lab.directory / node / "agent.toml"
            config.write_text(self._config(node))
            argv = [sys.executable, "-m", "hopkeeper_agent.main", "run", str(config)]
            name = f"agent-{node}-{len(self._lab.programs.started)}"
            self._lab.start(name, node, argv, f"{node}/control", ENVIRONMENT)

    def _config(self, node: str) -> str:
        base, listen = self._lab.directory, Listen(COMMAND, PROBE, GOSSIP)
        file = AgentFile(
            name=node,
            topology=self._setting.topology,
            address=ADDRESSES[node],
            home=base / node,
            app_keys=base / "app-keys.pem",
            listen=listen,
            peers=tuple(
                Peer(peer, ADDRESSES[peer], self.certificate(peer), listen)
                for peer in self._setting.nodes
                if peer != node
            ),
            agent=(("role", "witness"),) if node in self._setting.witnesses else (),
        )
        reports = table("[reports]", url=self._setting.report_url, key_file=base / "report.key")
        watches = (_watch(other, self._setting.watch_seconds) for other in self._setting.watched)
        return file.text(reports, self._check(node), *watches, self._speaker(node))

    def _check(self, node: str) -> str:
        """The real path: through the NVA to the client behind it and back."""
        return data_path(ADDRESSES[node], PORT, CHECK_PERIOD, CHECK_FALL) if node in NVAS else ""

    def _speaker(self, node: str) -> str:
        if node not in self._setting.asns:
            return '[speaker]\nkind = "none"\n'
        return self._daemon.section(self._speaking(node))

    def _speaking(self, node: str) -> Speaking:
        setting = self._setting
        return Speaking(node, self._lab.directory / node, setting.asns[node], setting.hold)


def _watch(node: str, within: float) -> str:
    """What the baselines' probes and watchers request of an NVA, too. A trial is long enough for a packet to be sent again, and
    of so many attempts that it fails once in a thousand where a tenth of all packets is lost."""
    url = f"http://{ADDRESSES[node]}:{HEALTH}/"
    facts = {"attempts": 5, "period_seconds": within, "timeout_seconds": within, "fall": 3, "rise": 5}
    return table("[[watch]]", name=node, kind="http", url=url, **facts)


# ExaBGP changes to this user even with `exabgp.daemon.drop` off, and could not read Python any more.
ENVIRONMENT = {"exabgp.daemon.user": "root"}
