"""Real BIRD and FRR processes on loopback, without root: each as an operator would have configured it for the agent.

The configuration around ours is the golden one of `goldens/{bird,frr}/operator.conf`, with addresses of loopback put in.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hopkeeper_agent.role import Toward
from hopkeeper_agent.speakers import bird_text

from tests.unit.agent.bgp_wire import ASN, PORT

GOLDENS = Path(__file__).with_name("goldens")
GOLDEN_PEERS = ("10.0.0.36", "10.0.0.37", "192.168.100.1")
PREMISES = 64600
BGPD = Path("/usr/lib/frr/bgpd")
MISSING = {
    "bird": None if shutil.which("bird") else "bird (Debian package bird2) is not installed",
    "frr": None if BGPD.exists() else f"{BGPD} (Debian package frr) is not installed",
    "exabgp": None,
}


class RealDaemon(Protocol):
    """A daemon of the operator's that can be started, killed and started again."""

    kind: str

    def start(self) -> None: ...

    def kill(self, number: int = signal.SIGKILL) -> None: ...

    def signal(self, number: int) -> None: ...

    def speaker(self) -> str:
        """The section [speaker] for an agent beside it."""


@dataclass
class _Process:
    folder: Path
    address: str
    neighbours: list[str]
    outward: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def run(self, command: list[str]) -> None:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def neighbour_tables(self) -> str:
        return neighbour_tables(self.neighbours, self.outward)


def neighbour_tables(neighbours: list[str], outward: list[str]) -> str:
    """The neighbours in an agent's configuration."""
    tables = [f'[[speaker.neighbors]]\naddress = "{peer}"\nasn = {ASN}\n' for peer in neighbours]
    return "".join(
        tables
        + [f'[[speaker.neighbors]]\naddress = "{peer}"\nasn = {PREMISES}\ngroup = "outward"\n' for peer in outward]
    )


def localized(text: str, address: str, neighbours: list[str]) -> str:
    """The golden operator's configuration with these addresses in place of its own."""
    for golden, real in (("10.0.1.4", address), *zip(GOLDEN_PEERS, neighbours, strict=False)):
        text = text.replace(golden, real)
    return text


@dataclass
class RealBird(_Process):
    """BIRD 2."""

    kind: str = field(default="bird", init=False)

    @property
    def include(self) -> Path:
        return self.folder / "hopkeeper.conf"

    @property
    def configuration(self) -> Path:
        return self.folder / "bird.conf"

    def write(self, extra: str = "") -> None:
        # Without root there is no kernel table, with it there is one that is not ours.
        text = (GOLDENS / "bird" / ("operator-outward.conf" if self.outward else "operator.conf")).read_text()
        text = localized(text, self.address, [*self.neighbours, *self.outward])
        text = re.sub(r"(?ms)^protocol kernel \{.*?^\}\n", "", text)
        text = text.replace("/var/lib/hopkeeper-speaker/bird.conf", str(self.include))
        # What a BIRD without root on loopback needs besides.
        text = text.replace("multihop;", "multihop; strict bind yes; connect delay time 1; connect retry time 1;")
        text = text.replace("error wait time 1, 2;", "").replace("multihop;", "multihop; error wait time 1, 2;")
        text = text.replace(" as 65001;", f" port {PORT} as 65001;")
        for asn in (ASN, PREMISES):
            text = text.replace(f" as {asn};", f" port {PORT} as {asn};")
        self.configuration.write_text(text + extra)

    def start(self) -> None:
        if not self.configuration.exists():
            self.write()
        if not self.include.exists():
            nothing = (GOLDENS / "bird" / "nothing.conf").read_text()
            self.include.write_text(nothing + (bird_text.empty(Toward.OUTWARD) if self.outward else ""))
        self.run(
            [
                "bird",
                "-f",
                "-c",
                str(self.configuration),
                "-s",
                str(self.folder / "ctl"),
                "-P",
                str(self.folder / "pid"),
            ]
        )

    def speaker(self) -> str:
        return f"""
[speaker]
kind = "bird"
asn = 65001
control = "{self.folder}/ctl"
include = "{self.include}"
{self.neighbour_tables()}
"""


@dataclass
class RealFrr(_Process):
    """FRR's bgpd, without zebra."""

    kind: str = field(default="frr", init=False)

    @property
    def configuration(self) -> Path:
        return self.folder / "bgpd.conf"

    @property
    def vty(self) -> Path:
        return self.folder / "bgpd.vty"

    def write(self, extra: str = "", without: tuple[str, ...] = ()) -> None:
        text = (GOLDENS / "frr" / ("operator-outward.conf" if self.outward else "operator.conf")).read_text()
        for line in without:
            assert line in text
            text = text.replace(line, "")
        text = localized(text, self.address, [*self.neighbours, *self.outward])
        for peer in (*self.neighbours, *self.outward):
            own = f"port {PORT}", f"update-source {self.address}", "timers connect 1"
            lines = "".join(f"\n neighbor {peer} {setting}" for setting in own)
            text = re.sub(rf"(neighbor {re.escape(peer)} remote-as \d+)", rf"\g<1>{lines}", text)
        self.configuration.write_text(text + extra)

    def start(self) -> None:
        if not self.configuration.exists():
            self.write()
        folder = str(self.folder)
        command = [str(BGPD), "-S", "-Z", "-f", str(self.configuration), "-p", str(PORT), "-l", self.address]
        command += [
            "--vty_socket",
            folder,
            "-i",
            f"{folder}/pid",
            "-P",
            "0",
            "-z",
            f"{folder}/zserv",
            "--log",
            f"file:{folder}/log",
        ]
        self.run(command)

    def speaker(self) -> str:
        return f"""
[speaker]
kind = "frr"
asn = 65001
vty = "{self.vty}"
{self.neighbour_tables()}
"""


@contextmanager
def real_daemon(
    kind: str, address: str, neighbours: list[str], outward: tuple[str, ...] = ()
) -> Iterator[RealBird | RealFrr]:
    """A daemon that is not started yet, in a folder of its own; its process is gone afterwards."""
    # A unix socket's path has 108 bytes, which pytest's folders may use up.
    folder = Path(tempfile.mkdtemp(prefix="hk-", dir=os.environ.get("TMPDIR", "/tmp")))
    daemon: RealBird | RealFrr = (RealBird if kind == "bird" else RealFrr)(folder, address, neighbours, list(outward))
    try:
        yield daemon
    finally:
        daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)
