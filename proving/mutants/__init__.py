"""Mutants: the product with one safety rule broken, and the proof that the tests notice.

A test-suite is as good as the faults that it finds. Each mutant breaks one rule of the promotion protocol, one guard
or one obligation of an effect, in a copy of the tree; a test must fail there. Not a mutation-testing tool: the list is
named and written by hand, because every line of it has to mean something.
"""
