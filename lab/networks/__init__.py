"""The networks lab: every design of the examples, hubs and dual-homed networks first, with real BGP daemons and packets.

    python -m lab.networks [CASE ...] [--hubs frr bird] [--out build/networks.json]

A *case* takes a topology from `examples/`, renders what it implies for every speaker, starts the daemons with exactly that
text in a world of its own (namespaces that end with it, as the packet lab's), and compares what the Route Server's
instances hold with what they should; then it breaks something while packets flow, and counts.

    nodes       every speaker of the topology; two instances of every Route Server (BIRD, AS 65515); a workload, into
                whose kernel the platform's part is played: learned routes are programmed there; what the case adds
    link        one, as a virtual network and its peerings look to those in them: every address is one hop away

What is not here: Azure's own times (packets/__init__ says which), a platform that refuses to forward, and gateways: for
ExpressRoute a BIRD stands that speaks with the Route Server as the gateway does, with 12076 in its paths. Nor does the app
decide anything here: where agents have a part, a case orders them as the app does (`agents`), at times of its own.
"""
