"""Stories: one example topology each, over the simulated Azure, played act by act on virtual time.

    app      what `wiring` composes: the Azure SDKs, `AgentsOverHttp`, Monitor; only documents and queue are in memory
    Azure    `simulator.server` with its wire formats; a seed derived from the topology
    NVAs     the agent's own command endpoint, duties, checks and reports; gossip is looked up and not sent

All of it in one event loop whose time jumps (`virtual`) and whose network is memory (`network`): minutes of Azure take a
second, and the same story reads the same every time. Not here: TLS (tests/contract), real BGP (`lab.packets`),
random faults (`proving.storm`).
"""
