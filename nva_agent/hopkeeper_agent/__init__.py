"""The agent of a network virtual appliance: probe, signed commands, gossip, self-checks, reports and one BGP speaker.

It shares no code with the app, only `docs/agent-protocol.md` and `contracts/`.
"""

__version__ = "0.1.0"
