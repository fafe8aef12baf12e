"""What can happen to the NVA that carries the packets, by name. Healing is the world's: it mends all of them at once."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from lab.packets.fabric import MGMT
from lab.packets.lab import Lab

LOSS_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """`moves`: the run waits for packets to flow around the victim; else it looks on for a while, wherever they flow.

    What was killed is started again in healing, except after `restarts`: then what controls the NVA at once.
    `cold`: whatever decides elsewhere was started anew just before. `ordered`: nothing is broken, a move is ordered.
    """

    name: str
    title: str
    strike: Callable[[Lab, str], object]
    moves: bool = True
    kills_data: bool = False
    kills_control: bool = False
    restarts: bool = False
    cold: bool = False
    ordered: bool = False


def _silent(lab: Lab, victim: str) -> None:
    lab.fabric.silence(victim)


def _killed(lab: Lab, victim: str) -> None:
    lab.programs.signal(victim, signal.SIGSTOP)  # all at once: no program says goodbye because another ended first
    lab.programs.kill(victim)


def _frozen(lab: Lab, victim: str) -> None:
    lab.programs.signal(victim, signal.SIGSTOP)


def _service(lab: Lab, victim: str) -> None:
    lab.programs.kill(f"{victim}/data")


def _control(lab: Lab, victim: str) -> None:
    lab.programs.kill(f"{victim}/control")


def _stopped(lab: Lab, victim: str) -> None:
    lab.programs.signal(f"{victim}/control", signal.SIGTERM)


def _gagged(lab: Lab, victim: str) -> None:
    lab.fabric.gag(victim)


def _nothing(lab: Lab, victim: str) -> None:
    return


def _cut_off(lab: Lab, victim: str) -> None:
    lab.fabric.part(victim, MGMT)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("silent", "the NVA falls silent: its link is down", _silent),
        Fault("silent-cold", "the same, and the app was started anew just before", _silent, cold=True),
        Fault("killed", "kill -9 for every process of the NVA", _killed, kills_data=True, kills_control=True),
        Fault("frozen", "SIGSTOP for every process of the NVA, its data path too", _frozen),
        Fault("service", "the data path dies, what controls it lives", _service, kills_data=True),
        Fault("one-way", "nothing that the NVA sends arrives, it hears all", _gagged),
        Fault("control", "kill -9 for its daemon and agent, the data path lives", _control, kills_control=True),
        Fault("stop", "SIGTERM for its daemon and agent, the data path lives", _stopped, kills_control=True),
        Fault("restart", "kill -9 for daemon and agent, started again at once", _control, moves=False, restarts=True),
        Fault("planned", "nothing is broken: an operator orders a switchover", _nothing, ordered=True),
        Fault("cut-off", "the NVA loses its path to the app, and only that", _cut_off, moves=False),
    )
}
