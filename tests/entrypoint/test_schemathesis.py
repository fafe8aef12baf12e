"""Schemathesis against the real app: requests that its OpenAPI document permits, and some that it does not, derandomised.

Whatever is sent, the app answers what it describes, in the media types that it names, and never with a fault of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lab.stack import Stack
from tests.entrypoint.alone import app_alone

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "contracts" / "openapi.json").read_text())


@schemathesis.serializer("application/jose")
def as_it_is(ctx: schemathesis.SerializationContext, value: str) -> bytes:
    """A report's token."""
    return value.encode()


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 6
"""Of each operation."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[Stack]:
    """Simulator and app without NVAs, and a sweep that never comes."""
    async with app_alone() as made:
        yield made


def tried(operation: schemathesis.APIOperation, url: str, key: str) -> int:
    """How many requests were sent; raises what a check found."""
    sent = 0

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        case.call_and_validate(base_url=url, headers={"x-functions-key": key}, checks=CHECKS, timeout=30)
        sent += 1

    send()
    return sent


@pytest.mark.parametrize("operation", OPERATIONS, ids=[each.label for each in OPERATIONS])
async def test_whatever_is_sent_is_answered_as_it_is_described(
    stack: Stack, operation: schemathesis.APIOperation
) -> None:
    sent = await asyncio.to_thread(tried, operation, f"{stack.host_url}/api", stack.keys["master"])
    assert sent > 0
