"""The agent of a network virtual appliance: probe, signed commands, gossip, self-checks, reports and one BGP speaker.

It knows nothing of the app's code: `docs/agent-protocol.md` and `contracts/` are all they share.
"""

__version__ = "0.1.0"
