"""A load balancer on loopback that really probes its backends and forwards UDP: the lab's internal Azure Load Balancer.

    python -m tools.load_balancer --simulator https://127.0.0.1:PORT --ca ca.pem --name NAME --frontend A --port P

The simulator says what is configured, and what the probes found is reported to it. Packets go on when the simulator does
not answer: the data plane keeps its last state.
"""
