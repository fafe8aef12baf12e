"""The wire profile: the real adapters over the simulator's wire formats and real agents, in one process on loopback.

    app      `UseCases` over the adapters of ARM, of the agents and of the document directory; one or two hosts
    ARM      `simulator`, HTTPS, twenty times faster than Azure
    NVAs     the agent itself behind its TLS listener, its gossip and its probe, on an address of its own

What is drawn is the same for a seed, what comes of it is not: time is real here. Safety is looked at after every
callback of the event loop, then everything heals and must come to rest within a generous bound. Not here: virtual time,
crash points and most faults (`proving.storm`), real processes and packets (`lab.stack`).
"""
