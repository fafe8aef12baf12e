"""The compiler has nothing to say of any template or parameter file, and each of its rules is decided on."""

import json
import re

import pytest

from tests.infra.compiler import INFRA, evaluated, lint, planted, texts, unformatted
from tests.infra.deployments import AZD, DEPLOYMENTS, EXAMPLES, LAB, LAB_FILE, MAIN, PUBLIC

# Of Bicep 0.49.2: `Code` of each class below Bicep.Core/Analyzers/Linter/Rules in Azure/bicep.
RULES = set(
    re.findall(
        r"[\w-]+",
        """
    adminusername-should-not-be-literal artifacts-parameters decompiler-cleanup explicit-values-for-loc-params max-asserts
    max-outputs max-params max-resources max-variables nested-deployment-template-scoping no-conflicting-metadata
    no-deployments-resources no-explicit-any no-hardcoded-env-urls no-hardcoded-location no-hardcoded-outputs
    no-loc-expr-outside-params no-module-name no-unnecessary-dependson no-unused-existing-resources no-unused-imports
    no-unused-params no-unused-types no-unused-vars outputs-should-not-contain-secrets prefer-interpolation
    prefer-unquoted-property-names protect-commandtoexecute-secrets secure-parameter-default
    secure-params-in-nested-deploy secure-params-in-parameters-file secure-secrets-in-params simplify-interpolation
    simplify-json-null stacks-extensibility-compat use-description-outputs use-description-params
    use-description-type-properties use-description-types use-description-vars use-parent-property
    use-recent-api-versions use-recent-az-powershell-version use-recent-module-versions use-recognized-resource-type
    use-resource-id-functions use-resource-symbol-reference use-safe-access use-secure-value-for-secure-inputs
    use-stable-resource-identifiers use-stable-vm-image use-user-defined-types what-if-short-circuiting
    """,
    )
)
CONFIG = INFRA / "bicepconfig.json"


def undecided(content: str) -> list[str]:
    """Rules that are not decided on, decisions on rules that there are not, and rules that are off without a reason."""
    rules = json.loads(re.sub(r"(?m)^\s*//.*$", "", content))["analyzers"]["core"]["rules"]
    lines = content.splitlines()
    unexplained = [
        name
        for name, rule in rules.items()
        if rule["level"] == "off"
        and not lines[next(i for i, line in enumerate(lines) if f'"{name}"' in line) - 1].strip().startswith("//")
    ]
    return sorted(RULES ^ set(rules)) + unexplained + [name for name, its in rules.items() if its["level"] == "error"]


@pytest.mark.timeout(300)
def test_the_compiler_has_nothing_to_say() -> None:
    assert lint(texts(), AZD | PUBLIC | LAB) == []


@pytest.mark.timeout(300)
def test_what_the_compiler_says_is_a_fault_whatever_its_level() -> None:
    """Each in a file that the others do not read: a wrong name, a read-only property, a version of long ago."""
    faults = {
        "modules/storage.bicep": ("allowSharedKeyAccess", "allowSharedKeysAccess"),
        "modules/published-events.bicep": ("name: name", "name: 'topic'"),
        "modules/monitoring.bicep": ("Insights/components@2020-02-02", "Insights/components@2015-05-01"),
        "modules/key-vault.bicep": ("tenantId: tenant().tenantId", "vaultUri: 1"),
        "lab/machine.bicep": ("card.id", "cards.id"),
    }
    files = texts()
    for name, (old, new) in faults.items():
        files |= {f"infra/bicep/{name}": planted(name, old, new)[f"infra/bicep/{name}"]}
    said = "\n".join(lint(files, AZD | PUBLIC | LAB))
    for fault in ("allowSharedKeysAccess", "no-unused-params", "2015-05-01", "vaultUri", "cards"):
        assert fault in said, fault


def test_every_file_has_the_compilers_own_layout() -> None:
    assert unformatted(texts()) == []


def test_a_file_of_another_layout_is_named() -> None:
    assert "modules/storage.bicep" in unformatted(planted("modules/storage.bicep", "  location: ", "    location:"))


def test_each_rule_is_decided_and_none_is_off_without_a_reason() -> None:
    assert undecided(CONFIG.read_text()) == []


def test_a_rule_without_a_decision_or_a_reason_is_named() -> None:
    content = CONFIG.read_text()
    assert undecided(content.replace("max-params", "max-parameters")) == ["max-parameters", "max-params"]
    off = '"use-parent-property": { "level": "warning" }'
    assert undecided(content.replace(off, off.replace("warning", "off"))) == ["use-parent-property"]


def test_every_parameter_file_is_evaluated() -> None:
    files = {str(path.relative_to(INFRA)) for path in INFRA.rglob("*.bicepparam")}
    assert files == {MAIN, LAB_FILE, *EXAMPLES} == {name for name, _ in DEPLOYMENTS.values()} | {LAB_FILE}


def test_what_cannot_be_evaluated_is_reported_in_the_compilers_words() -> None:
    with pytest.raises(AssertionError, match="BCP"):
        evaluated(MAIN, AZD | PUBLIC, planted(MAIN, "param ", "parma "))
