"""checkov's checks of what a deployment would make: every finding is mended, or has a reason here.

checkov lives in an environment of its own (build/checkov), which `make check` makes: it wants other versions of what the app
uses. It is given the evaluated resources as one template: its own reader of Bicep does not know half of the language.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.compiler import ROOT, Snapshot
from tests.infra.deployments import EVERYTHING, lab, snapshot

CHECKOV = ROOT / "build" / "checkov" / "bin" / "checkov"
NO_CHECKOV = "no checkov"
"""The reason of every test that is skipped for want of it."""
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
SITE, SETTINGS, ACCOUNT, MACHINE = "sites", "sites/config", "storageAccounts", "virtualMachines"

pytestmark = pytest.mark.timeout(300)

EXCEPTIONS: Mapping[tuple[str, str], str] = {
    (
        "CKV_AZURE_41",
        "vaults/secrets",
    ): "a signing key that expires by itself would end every failover; it is rotated by hand",
    ("CKV_AZURE_193", "topics"): "subscribers of what is published are the operator's; local authentication is off",
    ("CKV_AZURE_191", "topics"): "the topic makes no calls: it needs no identity",
    ("CKV_AZURE_225", "serverfarms"): "not offered in every region; a failover waits for the sweep at worst",
    ("CKV_AZURE_222", SITE): "Event Grid and action groups come from public addresses: by service tag, all else denied",
    ("CKV_AZURE_17", SITE): "Event Grid, action groups and agents have no client certificates; agents sign reports",
    ("CKV_AZURE_78", SITE): "the plan refuses ftpsState; FTP is closed by the policies of publishing credentials",
    ("CKV_AZURE_212", SITE): "Flex Consumption scales from what is always ready",
    ("CKV_AZURE_213", SITE): "Flex Consumption has no health check; the dead-man alert stands for it",
    **{(f"CKV_AZURE_{number}", SETTINGS): "settings, not a site" for number in (13, 63, 65, 66, 80, 88, 222)},
    ("CKV_AZURE_59", ACCOUNT): "Event Grid's dead letters come as a trusted service; shared keys are off",
    ("CKV_AZURE_206", ACCOUNT): "zone-redundant: records must not be read from a late replica",
    ("CKV_AZURE_97", MACHINE): "encryption at host must be registered in the subscription first; a lab",
    ("CKV_AZURE_50", MACHINE): "cloud-init installs everything; no extension is allowed or used",
    ("CKV_AZURE_151", MACHINE): "Linux",
}


def failed(folder: Path, *deployments: Snapshot) -> set[tuple[str, str]]:
    """Skips the test without checkov."""
    if not CHECKOV.exists():
        pytest.skip(NO_CHECKOV)
    for i, its in enumerate(deployments):
        template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": its.made}
        (folder / f"{i}.json").write_text(json.dumps(template))
    argv = [CHECKOV, "--framework", "arm", "--skip-download", "--compact", "-d", folder, "-o", "json"]
    report = json.loads(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)
    assert report["summary"]["passed"] > 20
    assert report["summary"]["parsing_errors"] == 0
    return {
        (found["check_id"], found["resource"].partition("/")[2].partition(".")[0])
        for found in report["results"]["failed_checks"]
    }


def test_every_finding_is_mended_or_has_a_reason(tmp_path: Path) -> None:
    # What a machine runs at its first boot (40 KB of base64) is no template: checkov searches it for minutes.
    machines = lab().spoilt("Microsoft.Compute/virtualMachines", "properties.osProfile.customData")
    assert failed(tmp_path, snapshot(EVERYTHING), machines) == set(EXCEPTIONS)


def test_a_planted_fault_is_found(tmp_path: Path) -> None:
    weak = snapshot(EVERYTHING).spoilt("Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion", "TLS1_0")
    assert failed(tmp_path, weak) - set(EXCEPTIONS) == {("CKV_AZURE_44", ACCOUNT)}
