"""Makes `resource_types.json`: for each resource type the Bicep uses, which property paths exist, and which are read-only.

    python -m tests.infra.derive ../shared/fixtures/bicep-types

Its source is `generated/` of Azure/bicep-types-az at commit 1f896de2 (MIT): what the Bicep compiler itself knows. Three
types that are not among those files are transcribed below, as far as they are used, from the same repository (keyvault
2024-11-01 at commit 30c7a915, microsoft.insights 2023-12-01 at d2ca63f4); a fourth is only named. The variants of one
object are united: that a property goes with this variant and not with another is not seen. Nothing here describes values.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "resource_types.json"
ORIGIN = "Azure/bicep-types-az, generated/, commit 1f896de2 (MIT); TRANSCRIBED in derive.py for four types"
REQUIRED, READ_ONLY = 1, 2  # bits of a property's flags
# Segments of a path: deep enough for what is set, and short of the networks' types, which hold each other without end.
DEPTH_MAX = 8
DEPTH_MAX_NETWORK = 4
DEEPER = {
    "Microsoft.Network/bastionHosts@2025-05-01": 5,
    "Microsoft.Network/loadBalancers@2025-05-01": 5,
    "Microsoft.Network/networkInterfaces@2025-05-01": 5,
    "Microsoft.Network/virtualNetworks@2025-05-01": 6,
}

TYPES = (
    "Microsoft.Authorization/roleAssignments@2022-04-01",
    "Microsoft.Authorization/roleDefinitions@2022-04-01",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15",
    "Microsoft.EventGrid/systemTopics@2025-02-15",
    "Microsoft.EventGrid/topics@2025-02-15",
    "Microsoft.Insights/actionGroups@2023-01-01",
    "Microsoft.Insights/activityLogAlerts@2020-10-01",
    "Microsoft.Insights/components@2020-02-02",
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
    "Microsoft.Insights/metricAlerts@2018-03-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30",
    "Microsoft.Network/bastionHosts@2025-05-01",
    "Microsoft.Network/loadBalancers@2025-05-01",
    "Microsoft.Network/natGateways@2025-05-01",
    "Microsoft.Network/networkInterfaces@2025-05-01",
    "Microsoft.Network/networkSecurityGroups@2025-05-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01",
    "Microsoft.Network/privateEndpoints@2025-05-01",
    "Microsoft.Network/publicIPAddresses@2025-05-01",
    "Microsoft.Network/routeTables@2025-05-01",
    "Microsoft.Network/virtualHubs/ipConfigurations@2025-05-01",
    "Microsoft.Network/virtualHubs@2025-05-01",
    "Microsoft.Network/virtualNetworks/subnets@2025-05-01",
    "Microsoft.Network/virtualNetworks@2025-05-01",
    "Microsoft.OperationalInsights/workspaces@2025-02-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01",
    "Microsoft.Storage/storageAccounts/blobServices@2025-06-01",
    "Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01",
    "Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01",
    "Microsoft.Storage/storageAccounts/queueServices@2025-06-01",
    "Microsoft.Storage/storageAccounts@2025-06-01",
    "Microsoft.Web/serverfarms@2024-04-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01",
    "Microsoft.Web/sites/config@2024-04-01",
    "Microsoft.Web/sites@2024-04-01",
)
VARIANTS = {"Microsoft.Web/sites/config@2024-04-01": "appsettings"}  # the only one of twelve that is used
# What no file of the source holds, each with why it is used all the same. Nothing of theirs is checked.
NOT_HELD = {
    "Microsoft.Compute/virtualMachines@2024-07-01": "the lab's machines; the source has no provider Microsoft.Compute",
}

_COMMON = {
    "name": "required",
    "location": "required",
    "properties": "required",
    "tags.*": "writable",
    "id": "read-only",
}
TRANSCRIBED: dict[str, dict[str, str]] = {
    "Microsoft.Compute/virtualMachineScaleSets@2024-11-01": {"name": "required"},
    "Microsoft.KeyVault/vaults@2024-11-01": _COMMON
    | {
        "properties.tenantId": "required",
        "properties.sku": "required",
        "properties.sku.family": "required",
        "properties.sku.name": "required",
        "properties.enableRbacAuthorization": "writable",
        "properties.enableSoftDelete": "writable",
        "properties.enablePurgeProtection": "writable",
        "properties.softDeleteRetentionInDays": "writable",
        "properties.publicNetworkAccess": "writable",
        "properties.networkAcls": "writable",
        "properties.networkAcls.bypass": "writable",
        "properties.networkAcls.defaultAction": "writable",
        "properties.hsmPoolResourceId": "read-only",
        "properties.privateEndpointConnections": "read-only",
    },
    "Microsoft.KeyVault/vaults/secrets@2024-11-01": {
        "name": "required",
        "properties": "required",
        "tags.*": "writable",
        "id": "read-only",
        "location": "read-only",
        "properties.value": "writable",
        "properties.contentType": "writable",
        "properties.attributes": "writable",
        "properties.attributes.enabled": "writable",
        "properties.secretUri": "read-only",
        "properties.secretUriWithVersion": "read-only",
    },
    "Microsoft.Insights/scheduledQueryRules@2023-12-01": _COMMON
    | {
        "kind": "writable",
        "properties.displayName": "writable",
        "properties.description": "writable",
        "properties.enabled": "writable",
        "properties.severity": "writable",
        "properties.scopes": "writable",
        "properties.evaluationFrequency": "writable",
        "properties.windowSize": "writable",
        "properties.autoMitigate": "writable",
        "properties.criteria": "writable",
        "properties.criteria.allOf": "writable",
        "properties.criteria.allOf[].query": "writable",
        "properties.criteria.allOf[].timeAggregation": "writable",
        "properties.criteria.allOf[].operator": "writable",
        "properties.criteria.allOf[].threshold": "writable",
        "properties.criteria.allOf[].failingPeriods": "writable",
        "properties.criteria.allOf[].failingPeriods.numberOfEvaluationPeriods": "writable",
        "properties.criteria.allOf[].failingPeriods.minFailingPeriodsToAlert": "writable",
        "properties.actions": "writable",
        "properties.actions.actionGroups": "writable",
        "properties.createdWithApiVersion": "read-only",
    },
}


class _File:
    """One types.json: a list whose members refer to each other by position."""

    def __init__(self, path: Path) -> None:
        self._all: list[dict[str, Any]] = json.loads(path.read_text())
        self._depth = DEPTH_MAX_NETWORK if path.name.startswith("network") else DEPTH_MAX

    def resources(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in self._all:
            if each["$type"] == "ResourceType":
                body = self._at(each["body"])
                if variant := VARIANTS.get(each["name"]):
                    yield each["name"], body | {"elements": {variant: body["elements"][variant]}}
                else:
                    yield each["name"], body

    def all_paths(self, name: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Every path of a resource type, as deep as it is looked at."""
        return self.paths(body, "", DEEPER.get(name, self._depth))

    def paths(self, body: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
        """Every path below `body`, of at most `depth` segments more; `[]` is an element, `.*` any key.

        Variants of a discriminated object are united.
        """
        if depth == 0:
            return
        match body["$type"]:
            case "ArrayType":
                yield from self.paths(self._at(body["itemType"]), f"{prefix}[]", depth)
            case "DiscriminatedObjectType":
                yield from self._properties(body["baseProperties"], prefix, depth)
                for variant in body["elements"].values():
                    for path, kind in self.paths(self._at(variant), prefix, depth):
                        yield path, "writable" if kind == "required" else kind
            case "ObjectType":
                yield from self._properties(body["properties"], prefix, depth)
                if body.get("additionalProperties"):
                    yield f"{prefix}.*", "writable"

    def _properties(self, properties: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
        for name, each in properties.items():
            path, flags = f"{prefix}.{name}" if prefix else name, each["flags"]
            if flags & READ_ONLY:
                yield path, "read-only"
                continue
            yield path, "required" if flags & REQUIRED else "writable"
            yield from self.paths(self._at(each["type"]), path, depth - 1)

    def _at(self, reference: dict[str, str]) -> dict[str, Any]:
        return self._all[int(reference["$ref"].removeprefix("#/"))]


def derive(folder: Path) -> dict[str, Any]:
    """The table of all of TYPES. Raises LookupError for one that no file knows."""
    found: dict[str, dict[str, str]] = dict(TRANSCRIBED)
    for path in sorted(folder.glob("*.types.json")):
        file = _File(path)
        for name, body in file.resources():
            if name in NOT_HELD:
                raise LookupError(f"{path.name} holds {name} now: it can be checked")
            if name in TYPES:
                found[name] = _united(file.all_paths(name, body))
    if missing := set(TYPES) - set(found):
        raise LookupError(f"no file knows {sorted(missing)}")
    return {"origin": ORIGIN, "types": {name: _by_kind(found[name]) for name in sorted(found)}}


def _united(paths: Iterator[tuple[str, str]]) -> dict[str, str]:
    """A path that is of two kinds, in two variants, may be written and need not be."""
    found: dict[str, str] = {}
    for path, kind in paths:
        before = found.setdefault(path, kind)
        if before != kind:
            found[path] = "writable"
    return found


def _by_kind(paths: dict[str, str]) -> dict[str, list[str]]:
    return {
        kind: sorted(path for path, its in paths.items() if its == kind)
        for kind in ("required", "writable", "read-only")
    }


def main(folder: str) -> None:
    TABLE.write_text(
        json.dumps(derive(Path(folder)), separators=(",", ":")).replace('"Microsoft', '\n"Microsoft') + "\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
