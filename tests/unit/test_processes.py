"""What a program of the lab does with the signals that end it."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENDING = """
import sys
from tools.processes import end_as_by_ctrl_c
end_as_by_ctrl_c()
try:
    print("ready", flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    print("ending", flush=True)
    sys.stdin.readline()
    print("ended", flush=True)
"""


def test_a_second_sigterm_does_not_interrupt_what_the_first_one_ends() -> None:
    """One comes from the process group, one from make."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ENDING], stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as ending:
        assert ending.stdout is not None
        assert ending.stdin is not None
        for said in ("ready", "ending"):
            assert ending.stdout.readline() == f"{said}\n"
            ending.send_signal(signal.SIGTERM)
        ending.stdin.write("\n")
        ending.stdin.flush()
        assert ending.stdout.read() == "ended\n"
