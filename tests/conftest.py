"""What holds for every test."""

import pytest

from tests.skips import Skips

LONGEST = ("tests/lab/", "tests/simulation/")
"""Where the files are that take a minute."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail if a test is left out for no reason of tests/skips.py"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips(config, strict=config.getoption("no_skips")), "skips")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: one that is begun last is run while the other workers have nothing to do."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
