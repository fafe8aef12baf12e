"""What holds for every test."""

import pytest

LONGEST = ("tests/lab/", "tests/simulation/")
"""Where the files are that take a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: one that is begun last is run while the other workers have nothing to do."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
