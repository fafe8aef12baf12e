"""Which routes should be where, and are they? Evidence only: no step and no guard depends on an answer.

| module       | answers                                                          | used by                            |
|--------------|------------------------------------------------------------------|------------------------------------|
| `reading`    | what a Route Server reported                                     | `reconcile`, adapters              |
| `as_paths`   | what an AS path is, and how Azure writes one                     | `reconcile`, adapters, `views`     |
| `findings`   | what can be wrong                                                | `networks`, `reconcile`, `views`   |
| `expected`   | what a Route Server should learn from each peer                  | `reconcile`                        |
| `learned`    | whether it learned that                                          | `reconcile`                        |
| `advertised` | whether it advertises to its peers what the topology says        | `reconcile`                        |
| `effective`  | whether an interface's routes lead to the right next hop         | `reconcile`, adapters              |
| `hubs`       | whether every hub carries every client, and what one hub's loss costs | `learned`, `advertised`       |

`hubs` is private: an import contract keeps everything outside this package from it.
"""
