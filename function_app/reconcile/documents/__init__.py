"""The documents that Hopkeeper gives to programs: typed, with a version, and with a JSON Schema in `contracts/documents`.

A reader may rely on the keys of a version. A new key is no new version, so readers ignore keys that they do not know.
"""
