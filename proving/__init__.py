"""Proofs: random, directed and exhaustive histories, stories, kill -9, models, mutants."""
