"""The packet lab: network namespaces, real BGP daemons, real packets, and what users have today beside Hopkeeper.

    python -m lab.packets --runs 10

Every contender lives in a *world* of its own: a process in private network, mount and process namespaces, in which a
small Azure network is built afresh (`fabric`). The world ends with everything in it, however it ends.

    wl 10.10.0.6     the workload: sends 200 numbered packets a second; learned routes are in its kernel's table
    nva1 10.10.0.4   nva2 10.10.0.5   the two NVAs; each carries packets for the VIP 100.64.0.1 to the client
    cl 10.10.3.10    the client behind the NVAs: answers, and says through which NVA a packet came
    rs1 10.10.1.4    rs2 10.10.1.5    the Route Server's instances: BIRD, AS 65515
    lb 10.10.0.100   the internal load balancer: probes for real and forwards
    watch 10.10.0.7  watch2 10.10.0.9   route injectors, witnesses or watchers that carry no packets
    mgmt 10.10.0.8   where the app, its storage and the simulated Resource Manager run; the world's own process, too

What is not here: Azure's own time to program a route (0.9 to 5.6 s a change, the same for every kind that moves a
route), and bandwidth. An NVA's data path is a user-space program, as it is in many NVAs, so that stopping an NVA's
processes (SIGSTOP) stops its packets, too.
"""
