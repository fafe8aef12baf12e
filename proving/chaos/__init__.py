"""Chaos: kill -9 of the Functions host at each step of a failover, in the real stack, many times over.

What must hold each time: after a restart exactly one member serves and the record is at rest; and at no moment do
both probes answer 200. Not a storm: time is real and a round takes seconds, so the steps are chosen, not drawn.
"""
