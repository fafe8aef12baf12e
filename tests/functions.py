"""The app's functions, as its library gives them: once in a process, as it takes a second time for a second app."""

from functools import cache

import azure.functions as func

import main


@cache
def functions() -> dict[str, func.Function]:
    """By name."""
    return {one.get_function_name(): one for one in main.app.get_functions()}
