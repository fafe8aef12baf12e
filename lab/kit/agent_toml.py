"""An agent's configuration file, as `nva_agent/agent.example.toml` explains it, for agents that the lab and tests start."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

ROUTE_SERVER_ASN = 65515


@dataclass(frozen=True, slots=True)
class Listen:
    """Ports."""

    command: int
    probe: int
    gossip: int


@dataclass(frozen=True, slots=True)
class Peer:
    """Another agent; `listen` where its ports are not the usual ones."""

    name: str
    address: IPv4Address | str
    certificate: Path
    listen: Listen | None = None


@dataclass(frozen=True, slots=True)
class AgentFile:
    """`home` holds the agent's key, its certificate and its state; `agent` are further keys of its table."""

    name: str
    topology: str
    address: IPv4Address | str
    home: Path
    app_keys: Path
    listen: Listen | None = None
    peers: tuple[Peer, ...] = ()
    agent: tuple[tuple[str, Any], ...] = ()

    def text(self, *more: str) -> str:
        """The whole file; `more` are further tables, as text."""
        facts = {
            "name": self.name,
            "topology": self.topology,
            "address": self.address,
            "machine": self.name,
            "state": self.home / "state",
            "key": self.home / "agent.key",
            "certificate": self.home / "agent.crt",
            "app_keys": self.app_keys,
            **dict(self.agent),
        }
        listen = [table("[listen]", **_ports(self.listen, "command", "probe", "gossip"))] if self.listen else []
        return "".join((table("[agent]", **facts), *listen, *map(_peer, self.peers), *more))


def table(head: str, **facts: Any) -> str:
    """A table of TOML: `head` in its brackets, then its keys. What is None is left out."""
    lines = [f"{name} = {_value(value)}\n" for name, value in facts.items() if value is not None]
    return f"{head}\n{''.join(lines)}"


def neighbours(addresses: Iterable[IPv4Address | str], asn: int = ROUTE_SERVER_ASN, group: str | None = None) -> str:
    """A speaker's neighbours, the Route Servers' instances unless another ASN says otherwise."""
    return "".join(table("[[speaker.neighbors]]", address=address, asn=asn, group=group) for address in addresses)


def data_path(address: IPv4Address | str, port: int, period_seconds: float, fall: int) -> str:
    """The check that sends packets through the NVA and back; without them the agent stands by."""
    return table(
        "[[checks]]",
        name="data-path",
        kind="udp",
        address=address,
        port=port,
        fatal=True,
        period_seconds=period_seconds,
        timeout_seconds=period_seconds,
        fall=fall,
        rise=3,
    )


def _peer(peer: Peer) -> str:
    ports = _ports(peer.listen, "probe", "gossip") if peer.listen else {}
    return table("[[peers]]", name=peer.name, address=peer.address, certificate=peer.certificate, **ports)


def _ports(listen: Listen, *names: str) -> dict[str, int]:
    return {name: getattr(listen, name) for name in names}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"'
