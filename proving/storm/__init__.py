"""Deterministic storms: the real decisions and the real executor over a simulated world, on virtual time, in one thread.

A history is a seed. Faults are data that the seed draws; safety (safety.md section 6) is checked after every event,
then everything heals and liveness is demanded. Wire formats and real adapters have a profile of their own (`wire`), in real
time. Not here: real processes (`lab.stack`).
"""
