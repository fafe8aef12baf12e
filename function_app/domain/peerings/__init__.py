"""Which peerings should a Route Server have, and in which order may they be changed?

| module       | answers                                                      | used by                        |
|--------------|--------------------------------------------------------------|--------------------------------|
| `model`      | what a peering is, and which speaker it is for               | everything above               |
| `scale_sets` | which instances of scale sets are speakers                   | `reconcile`, adapters          |
| `plan`       | which steps are due                                          | `reconcile`                    |
| `guards`     | whether a step is permitted now                              | `reconcile`                    |
| `slots`      | which speakers get one of the eight places                   | `plan`                         |
| `order`      | in which order the due changes are made                      | `plan`                         |
| `coverage`   | which prefixes would be withdrawn with a peering             | `plan`, `guards`               |

The last three are private: an import contract keeps everything outside this package from them.
"""
