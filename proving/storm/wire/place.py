"""The names of the one service that wire histories have, as in `examples/active-passive.yaml`."""

TOPOLOGY, SERVICE, POOL = "hub-uksouth", "egress-firewall", "nvas"
