"""Keeps the peerings of Route Servers."""
