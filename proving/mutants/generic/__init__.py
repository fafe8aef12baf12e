"""Generic mutation of `function_app/domain`: small changes that a tool makes everywhere, each of which a test must notice.

mutmut makes the mutants (ADR 16); `probe` runs the tests of a module against them; `answers` holds what was decided about
those that survive. `python -m proving.mutants.generic` does all of it, `python -m proving.mutants.generic routes/hubs` a part.
"""
