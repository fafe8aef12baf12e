"""A game day: every single fault of an operator's own topology, played over the simulated Azure on virtual time.

    faults     what can break in a topology, from the document alone; which bound is published for it
    acts       how each breaks on the stage of `proving.stories`
    flows      where new flows go: by the routes as programmed, the load balancer's probes and adminState
    run        one fault from rest to the end, with Hopkeeper or without it
    verdict    what both runs come to: who serves, what is lost, and whether the bound holds
    paces      how sure the times are that the simulated Azure goes by
    report     the same for people: lines, and one page

Not here: TLS, real BGP (`lab.packets`), races and restarts of the app at any request (`proving.storm`).
"""
