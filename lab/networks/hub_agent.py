"""An ExaBGP hub speaker: our agent starts it, for ExaBGP alone passes nothing on. Its configuration, and its keys.

The section of the clients is what `render` says in the comments of its ExaBGP text, word for word. No app talks to this agent:
a hub speaker without a service takes no orders.
"""

import subprocess
import sys
from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from function_app.domain.topology.model import Speaker
from lab.kit.agent_toml import AgentFile, table

BEGIN = "# [[speaker.clients]]"
KEYS = "# address = ", "# asn = ", "# prefixes = "


def clients(rendered: str, listening: Collection[IPv4Address]) -> str:
    """The clients' tables out of the comments. `listening` are clients that open their sessions, as an ExaBGP does."""
    found: list[str] = []
    for line in rendered.splitlines():
        if line == BEGIN or (found and line.startswith(KEYS)):
            found.append(line.removeprefix("# "))
        if any(line == f'# address = "{address}"' for address in listening):
            found.append("listen = true")
    return "".join(f"{line}\n" for line in found)


def configuration(hub: Speaker, topology: str, home: Path, hold: int, *tables: str) -> str:
    """The agent's own file. `tables` as `neighbours` and `clients` give them."""
    return AgentFile(hub.name, topology, hub.address, home, home / "app-keys.pem").text(
        table(
            "[speaker]",
            kind="exabgp",
            address=hub.address,
            asn=hub.asn,
            hold_time=hold,
            announces=sorted(map(str, hub.announces)),
        ),
        *tables,
    )


def enrol(home: Path, name: str) -> None:
    """Keys as an operator makes them, and a public key of an app that there is not. Raises CalledProcessError."""
    if (home / "agent.key").exists():
        return
    argv = [sys.executable, "-m", "hopkeeper_agent.main", "enroll", str(home), "--name", name]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    (home / "app-keys.pem").write_bytes(public.public_bytes(serialization.Encoding.PEM, spki))


def argv(config: Path) -> list[str]:
    return [sys.executable, "-m", "hopkeeper_agent.main", "run", str(config)]
