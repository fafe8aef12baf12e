"""What leaves `reconcile` is typed."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

from function_app import reconcile


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the package, and every public method of its public classes."""
    for found in pkgutil.walk_packages(reconcile.__path__, f"{reconcile.__name__}."):
        module = importlib.import_module(found.name)
        for owner in (module, *(kind for _, kind in inspect.getmembers(module, inspect.isclass))):
            for name, function in inspect.getmembers(owner, inspect.isfunction):
                if function.__module__ == found.name and not name.startswith("_"):
                    yield f"{found.name}: {function.__qualname__}", function


def test_no_public_function_of_reconcile_gives_untyped_data() -> None:
    given = {name: str(inspect.signature(function).return_annotation) for name, function in public()}
    assert len(given) > 100
    assert [name for name, annotation in given.items() if "Any" in annotation] == []
