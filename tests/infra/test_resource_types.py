"""Every resource type, API version and property that is set exists, none is read-only, and none that is required is left out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.infra.bicep_text import OF_THE_LANGUAGE, ROOT, Resource, files, parsed, planted
from tests.infra.derive import NOT_HELD, TABLE, derive

TYPES_SOURCE = ROOT.parent / "shared" / "fixtures" / "bicep-types"

type Paths = dict[str, list[str]]


def table() -> dict[str, Paths]:
    types: dict[str, Paths] = json.loads(TABLE.read_text())["types"]
    return types


def problems(texts: Mapping[str, str]) -> list[str]:
    types = table()
    return [
        f"{name}: {resource.symbol}: {problem}"
        for name, source in parsed(texts).items()
        for resource in source.resources()
        for problem in _problems(resource, types.get(resource.type))
    ]


def _problems(resource: Resource, known: Paths | None) -> Iterator[str]:
    if known is None:
        if resource.type not in NOT_HELD:
            yield f"no type {resource.type}"
        return
    if resource.existing:
        return
    given = {path for path in resource.paths if path.split(".")[0] not in OF_THE_LANGUAGE}
    writable = {*known["required"], *known["writable"]}
    for path in sorted(given):
        if path in known["read-only"]:
            yield f"{path} is read-only"
        elif path not in writable and f"{path.rpartition('.')[0]}.*" not in writable:
            yield f"no property {path}"
    given_or_derived = given | ({"location"} if "parent" in resource.paths else set())
    for path in known["required"]:
        parent = path.rpartition(".")[0]
        written_out = not parent or any(each.startswith(f"{parent}.") for each in given)
        if written_out and path not in given_or_derived:
            yield f"{path} is required"


def test_every_property_exists_and_may_be_written() -> None:
    assert problems(files()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "named"),
    [
        (
            "modules/storage.bicep",
            "allowSharedKeyAccess",
            "allowSharedKeysAccess",
            "no property properties.allowSharedKeysAccess",
        ),
        ("modules/storage.bicep", "storageAccounts@2025-06-01' = {", "storageAccounts@2025-13-01' = {", "no type"),
        ("modules/storage.bicep", "  sku: { name: 'Standard_ZRS' }\n", "", "sku is required"),
        (
            "modules/storage.bicep",
            "accessTier: 'Hot'",
            "primaryLocation: location",
            "properties.primaryLocation is read-only",
        ),
        ("modules/key-vault.bicep", "enableRbacAuthorization", "enableRbac", "no property properties.enableRbac"),
        ("modules/function-app.bicep", "instanceCount:", "count:", "alwaysReady[].count"),
        ("modules/alerts.bicep", "severity: 0\n", "", "properties.severity is required"),
        (
            "modules/resource-events.bicep",
            "advancedFilters:",
            "advancedFilter:",
            "no property properties.filter.advancedFilter",
        ),
        (
            "modules/network.bicep",
            "serviceName:",
            "service:",
            "no property properties.delegations[].properties.service",
        ),
        (
            "lab/network.bicep",
            "serviceName:",
            "service:",
            "no property properties.subnets[].properties.delegations[].properties.service",
        ),
        (
            "lab/balancer.bicep",
            "probeThreshold: 1",
            "numberOfTries: 1",
            "no property properties.probes[].properties.numberOfTries",
        ),
        ("lab/balancer.bicep", "port: 8080\n", "", "properties.probes[].properties.port is required"),
        ("lab/machine.bicep", "enableIPForwarding: true", "enableIpForward: true", "no property properties.enableIp"),
        (
            "lab/route-server.bicep",
            "sku: 'Standard'\n",
            "routingState: 'None'\n",
            "properties.routingState is read-only",
        ),
    ],
)
def test_what_azure_does_not_have_is_named(name: str, old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in problems(planted(name, old, new)))


def test_the_table_holds_the_types_in_use_and_no_others() -> None:
    used = {resource.type for source in parsed(files()).values() for resource in source.resources()}
    assert used - set(NOT_HELD) == set(table())


def test_what_the_table_cannot_hold_is_listed_with_its_reason_and_in_use() -> None:
    used = {resource.type for source in parsed(files()).values() for resource in source.resources()}
    assert set(NOT_HELD) <= used - set(table())
    assert all(NOT_HELD.values())
    another = planted("lab/machine.bicep", "virtualMachines@2024-07-01", "virtualMachines@2024-11-01")
    assert any("no type Microsoft.Compute/virtualMachines@2024-11-01" in problem for problem in problems(another))


@pytest.mark.skipif(not TYPES_SOURCE.is_dir(), reason="the files that the table is derived from are not here")
def test_the_table_is_what_its_source_gives() -> None:
    assert json.loads(Path(TABLE).read_text()) == derive(TYPES_SOURCE)
