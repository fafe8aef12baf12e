"""Runs the real thing on one machine: the app in the worker's own library, real agents, real BGP, a simulated Azure."""
