"""The OpenAPI document: made from the endpoints, kept in `contracts`, and what operators read of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.generate_schemas import OPENAPI, openapi
from function_app.triggers.described import SURFACES, document
from tests.functions import functions

ROOT = Path(__file__).resolve().parents[2]
PAGE = "page"
"""The function that serves browsers one document without data: no part of the API."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_follows_from_the_endpoints() -> None:
    assert OPENAPI.read_bytes() == openapi(), "run python -m contracts.generate_schemas"


def test_every_http_function_of_the_app_is_described() -> None:
    over_http = {name for name, one in functions().items() if one.get_trigger().get_binding_name() == "httpTrigger"}
    names = {one.name for each in SURFACES for one in each.served}
    assert names | {f"entra_{name}" for name in names} == over_http - {PAGE}


def test_every_reference_leads_somewhere_and_every_parameter_of_a_path_is_described() -> None:
    text = json.dumps(document())
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= set(document()["components"]["schemas"])
    assert '"#/$defs' not in text
    for path, _, operation in operations():
        in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), path


def test_operations_have_names_of_their_own_and_say_what_they_are() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].strip() for _, _, operation in operations())


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in operations()])
def test_every_refusal_is_of_the_one_shape_or_says_it_too(path: str, method: str) -> None:
    answers = document()["paths"][path][method]["responses"]
    assert {"400", "401", "403", "503"} <= set(answers)
    for status, answer in answers.items():
        if status.startswith(("4", "5")):
            ref = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert "error" in document()["components"]["schemas"][ref]["properties"], status


def test_every_operation_says_which_role_opens_it_and_that_a_key_does() -> None:
    schemes = document()["components"]["securitySchemes"]
    for path, _, operation in operations():
        role = operation["x-role"]
        assert operation["security"] == [{"functionKey": []}, {"entra": [role]}, {"session": [role]}], path
        assert {name for each in operation["security"] for name in each} == set(schemes)
    assert [server["url"] for server in document()["servers"]] == ["/api", "/api/entra"]


def test_the_operating_guide_lists_every_endpoint_with_its_function() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text().partition("\n### HTTP API\n")[2].partition("\n### ")[0]
    rows = [line.split(" | ") for line in guide.splitlines() if line.startswith("| `")]
    listed = {
        (name, endpoint)
        for endpoints, names, *_ in rows
        for endpoint, name in zip(re.findall(r"`(\w+ [^`]+)`", endpoints), re.findall(r"`(\w+)`", names), strict=True)
    }
    served = {(one.name, f"{one.endpoint.method} {one.endpoint.route}") for each in SURFACES for one in each.served}
    assert listed == {each for each in served if not each[0].startswith("on_")}
