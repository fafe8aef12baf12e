"""Mutants: the product with one thing wrong, and the proof that a test notices. A test suite is as good as what it finds.

| | what is wrong | made by | command |
|---|---|---|---|
| `protocol` | one rule of the protocol, one guard, a duty of the agent | a patch that names tests | `python -m proving.mutants` |
| `generic` | anything in `function_app/domain` | mutmut | `python -m proving.mutants.generic` |

`make mutants` runs both.
"""
