"""BIRD's configuration in parts: what each daemon begins with, and one session. BIRD honours graceful restart that a peer
offers, and would keep a dead peer's routes for two minutes: it is off here, as on Azure."""

from ipaddress import IPv4Address

NO_GRACE = "graceful restart off; long lived graceful restart off;"
LINK = 'protocol direct { ipv4; interface "eth0"; }\n'
TO_KERNEL = "protocol kernel { merge paths on; ipv4 { import none; export where source = RTS_BGP; }; }\n"
"""Equal paths side by side."""


def head(own: IPv4Address | str, *protocols: str) -> str:
    """The router id, then these protocols."""
    return f"log stderr all;\nrouter id {own};\nprotocol device {{ scan time 5; }}\n{''.join(protocols)}"


def session(
    name: str, local: tuple[IPv4Address | str, int], far: tuple[IPv4Address | str, int], timers: str, channel: str
) -> str:
    """One BGP session between two (address, ASN). `timers` as `hold` writes them, `channel` is what is exchanged."""
    return (
        f"protocol bgp {name} {{\n  local {local[0]} as {local[1]}; neighbor {far[0]} as {far[1]}; multihop;\n"
        f"  {timers}connect retry time 1; connect delay time 1; error wait time 1, 2; {NO_GRACE}\n"
        f"  ipv4 {{ {channel} }};\n}}\n"
    )


def hold(seconds: int, keepalive: int | None = None, startup: bool = False) -> str:
    """Timers in seconds; `startup` waits 20 s for a peer's first message."""
    found = f"hold time {seconds}; "
    found += f"keepalive time {keepalive}; " if keepalive is not None else ""
    return found + ("startup hold time 20; " if startup else "")
