"""Every Bicep file parses; modules and examples give exactly the parameters that are declared."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import pytest

from tests.infra.bicep_text import Declared, Source, files, leaves, parsed, planted, text

PARAMETERS = "*.bicepparam"


def undescribed(texts: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: parameter {each.name}"
        for name, source in parsed(texts).items()
        for each in source.parameters()
        if "description" not in each.decorators or (each.kind in ("object", "array") and each.name != "settings")
    ]


def mismatched_modules(texts: Mapping[str, str]) -> list[str]:
    """Parameters that a module does not declare, or that it needs and is not given; outputs that it does not have."""
    sources = parsed(texts)
    wrong = []
    for name, source in sources.items():
        for module in source.modules():
            target = sources.get(str(PurePosixPath(name).parent / module.type))
            if target is None:
                wrong.append(f"{name}: there is no {module.type}")
                continue
            given = {path.split(".")[1] for path in module.paths if path.count(".") == 1 and path.startswith("params.")}
            wrong += [f"{name}: {module.symbol} {problem}" for problem in _mismatch(target, given)]
            outputs = {each.name for each in target.outputs()}
            wrong += [f"{name}: {module.symbol}.outputs.{used}" for used in _used(texts[name], module.symbol) - outputs]
    return wrong


def mismatched_examples(texts: Mapping[str, str]) -> list[str]:
    sources = parsed(files())
    return [
        f"{name}: {problem}"
        for name, source in parsed(texts).items()
        for problem in _mismatch(sources[_template(name, texts[name])], set(source.variables()))
    ]


def _template(name: str, content: str) -> str:
    """What a file of parameters is for, by its path below infra/bicep. Raises ValueError where it does not say."""
    found = re.search(r"(?m)^using '([^']+)'", content)
    if found is None:
        raise ValueError(f"{name} says nothing of what it is for")
    return posixpath.normpath(PurePosixPath(name).parent / found[1])


def _mismatch(target: Source, given: set[str]) -> Iterator[str]:
    declared = {each.name: each for each in target.parameters()}
    yield from (f"gives unknown {name}" for name in sorted(given - set(declared)))
    yield from (f"lacks {name}" for name, each in declared.items() if not _has_default(each) and name not in given)


def _has_default(parameter: Declared) -> bool:
    return any(child.type == "=" for child in parameter.node.children)


def _used(content: str, symbol: str) -> set[str]:
    found = set()
    for after in content.replace("!.", ".").split(f"{symbol}.outputs.")[1:]:
        found.add("".join(character if character.isalnum() else " " for character in after).split()[0])
    return found


def test_every_file_parses() -> None:
    assert len(parsed(files())) >= 10
    assert len(parsed(files(PARAMETERS))) >= 4


def test_a_file_that_does_not_parse_is_named_with_its_line() -> None:
    with pytest.raises(SyntaxError, match=r"storage\.bicep:\d+"):
        parsed(planted("modules/storage.bicep", "kind: 'StorageV2'", "kind: StorageV2'"))


def test_every_parameter_is_described_and_typed() -> None:
    assert undescribed(files()) == []
    assert undescribed(planted("main.bicep", "@description('Most instances at once.')\n", "")) != []
    assert undescribed(planted("main.bicep", "param callerPrefixes string[]", "param callerPrefixes array")) != []


def test_modules_are_given_what_they_declare() -> None:
    assert mismatched_modules(files()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("    maximumInstances: maximumInstances\n", "", "app lacks maximumInstances"),
        ("    isPrivate: isPrivate\n", "    private: isPrivate\n", "storage gives unknown private"),
        ("vault.outputs.secretUri", "vault.outputs.secretUrl", "vault.outputs.secretUrl"),
        ("'modules/identity.bicep'", "'modules/who.bicep'", "there is no modules/who.bicep"),
    ],
)
def test_a_module_given_something_else_is_named(old: str, new: str, named: str) -> None:
    assert any(named in problem for problem in mismatched_modules(planted("main.bicep", old, new)))


def test_examples_give_what_main_declares() -> None:
    assert mismatched_examples(files(PARAMETERS)) == []


def test_an_example_that_lacks_or_invents_a_parameter_is_named() -> None:
    lacking = planted("examples/two-hubs.bicepparam", "param routeServers =", "param routeServer =", PARAMETERS)
    assert mismatched_examples(lacking) == [
        "examples/two-hubs.bicepparam: gives unknown routeServer",
        "examples/two-hubs.bicepparam: lacks routeServers",
    ]


def test_an_example_either_makes_its_subnet_or_names_one() -> None:
    texts = files(PARAMETERS)
    for name, source in parsed(texts).items():
        if _template(name, texts[name]) != "main.bicep":
            continue
        given = set(source.variables())
        assert ("appSubnetId" in given) != ({"virtualNetworkId", "appSubnetPrefix"} <= given), name


def test_no_example_holds_a_key() -> None:
    for name, source in parsed(files(PARAMETERS)).items():
        if (value := source.variables().get("signingKey")) is not None:
            assert text(value).startswith("readEnvironmentVariable("), name
            assert list(leaves(value)) == [], name
