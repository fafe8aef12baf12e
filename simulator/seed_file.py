"""Seeds as people have them, made what `World` takes: exports of Azure, and parts that are no resources (docs/simulator.md).

Resources come as ARM answers them (`az resource show`, a list of `az rest`) or as a template has them (`az group export`).
Everything that is wrong is said at once.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulator.exports import completed
from simulator.resources import Json, parse_path, path_of
from simulator.seed_faults import BY_ID, faults_of
from simulator.template import Scope, Template, evaluated

LISTS = ("resources", "resourceGroups", "alerts", "metrics", "permissions", "bgp")
PARTS = (*LISTS, *BY_ID, "randomSeed")
SHAPES = {**dict.fromkeys(LISTS, (list, "a list")), **dict.fromkeys(BY_ID, (dict, "an object by resource id"))}
OF_TEMPLATES = (
    "$schema",
    "contentVersion",
    "parameters",
    "variables",
    "outputs",
    "functions",
    "metadata",
    "languageVersion",
)
UNUSED = ("apiVersion", "dependsOn", "comments", "resourceGroup")  # of a resource: of templates, and of az's own
LOOPS = ("copy", "condition")
GROUP = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+", re.IGNORECASE)
GROUP_FORM = "/subscriptions/{subscription}/resourceGroups/{group}"
ID_FORM = f"{GROUP_FORM}/providers/{{namespace}}/{{type}}/{{name}}"


class SeedError(ValueError):
    """A seed that cannot be used; `faults` says each thing that is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read(files: Iterable[Path], scope: Scope) -> Json:
    """One seed of several files, whose parts are put together; `scope` is where resources without an id are.

    Raises SeedError.
    """
    seed: Json = {}
    faults: list[str] = []
    for file in files:
        own: list[str] = []
        for key, value in _parts(_loaded(file, own), scope, own).items():
            seed[key] = _joined(seed.get(key), value)
        faults += [f"{file}: {fault}" for fault in own]
    if not faults:
        seed["resources"] = completed(seed.get("resources") or [])
        faults += faults_of(seed)
    if faults:
        raise SeedError(faults)
    return seed


def _loaded(file: Path, faults: list[str]) -> Any:
    try:
        return json.loads(file.read_text())
    except OSError as error:
        faults.append(f"cannot be read: {error.strerror}")
    except ValueError as error:  # also of what is no UTF-8
        faults.append(f"is no JSON: {error}; `hopkeeper-simulator init` prints a seed to begin with")
    return {}


def _joined(before: Any, more: Any) -> Any:
    if isinstance(before, list) and isinstance(more, list):
        return [*before, *more]
    return before | more if isinstance(before, dict) and isinstance(more, dict) else more


def _parts(found: Any, scope: Scope, faults: list[str]) -> Json:
    """The parts of one file, its resources with their ids."""
    whole = _whole(found)
    if whole is None:
        faults.append(
            "holds no resources: a seed is a list of them, one of them, or an object with the key `resources`"
        )
        return {}
    is_template = "$schema" in whole
    allowed = (*PARTS, *OF_TEMPLATES) if is_template else PARTS
    faults += [f"{key}: no part of a seed; there are {', '.join(PARTS)}" for key in whole if key not in allowed]
    parts = {key: value for key, value in whole.items() if key in PARTS}
    if is_template:
        parts["resources"] = evaluated(Template(whole, scope), _listed(parts), "resources", faults)
    wrong = _of_other_shape(parts)
    faults += [f"{key}: must be {SHAPES[key][1]}" for key in wrong]
    return _with_groups({key: value for key, value in parts.items() if key not in wrong}, scope, faults)


def _listed(parts: Json) -> Any:
    """The resources of a template; an object where they have symbolic names."""
    given = parts.get("resources") or []
    return list(given.values()) if isinstance(given, dict) else given


def _with_groups(parts: Json, scope: Scope, faults: list[str]) -> Json:
    """Resource groups that stand among the resources are groups."""
    documents = list(_identified(parts.get("resources", []), scope, faults))
    groups = [*map(str, parts.get("resourceGroups", ())), *(one["id"] for one in documents if _is_group(one["id"]))]
    faults += [f"resourceGroups: {own!r} is no id of a group: {GROUP_FORM}" for own in groups if not _is_group(own)]
    return {**parts, "resources": [one for one in documents if one["id"] not in groups], "resourceGroups": groups}


def _of_other_shape(parts: Json) -> list[str]:
    return [key for key, (kind, _) in SHAPES.items() if key in parts and not isinstance(parts[key], kind)]


def _is_group(text: str) -> bool:
    return GROUP.fullmatch(text) is not None


def _whole(found: Any) -> Json | None:
    """The object that a file holds or stands for: a list of resources, as `az` prints one, or one resource."""
    if isinstance(found, list):
        return {"resources": found}
    if not isinstance(found, dict):
        return None
    if "value" in found and set(found) <= {"value", "nextLink"}:
        return {"resources": found["value"]}
    return {"resources": [found]} if "id" in found or {"type", "name"} <= set(found) else found


def _identified(given: list[Any], scope: Scope, faults: list[str], at: str = "resources") -> Iterator[Json]:
    """Each resource with its id, name and type, without what no resource has; those that lie in others follow them."""
    for number, resource in enumerate(given):
        here = f"{at}[{number}]"
        if not isinstance(resource, dict):
            faults.append(f"{here}: must be an object")
            continue
        document = {key: value for key, value in resource.items() if value is not None and key not in UNUSED}
        inside = document.pop("resources", [])
        fault = _misshapen(resource) or _identify(document, scope)
        if fault is not None:
            faults.append(f"{here}{_said(resource)}: {fault}")
            continue
        yield _without_groups(document)
        below = [_below(document, one) for one in inside]
        yield from _identified(below, scope, faults, f"{here}.resources")


def _said(resource: Json) -> str:
    said = resource.get("id") or resource.get("name")
    return f" ({said})" if isinstance(said, str) else ""


def _misshapen(resource: Json) -> str | None:
    for key in LOOPS:
        if key in resource:
            return f"{key}: templates with it are not evaluated: write the resources that it makes"
    if "properties" in resource and not isinstance(resource["properties"], dict):
        return "properties: must be an object; `az resource list` leaves them out, `az resource show --ids ID` has them"
    if "properties" not in resource and "provisioningState" in resource:
        return (
            "properties: missing: `az network` and `az vm` print a form of their own; take `az resource show --ids ID`"
        )
    return None


def _identify(document: Json, scope: Scope) -> str | None:
    """Gives a resource its id, type and name. Returns what is wrong, where something is."""
    own = document.get("id")
    if own is None:
        return _place(document, scope)
    if not isinstance(own, str) or not (_is_id(own) or _is_group(own)):
        return f"id: {own!r} is no resource id: {ID_FORM}"
    if _is_group(own):
        return None
    path = path_of(own)
    kind = str(document.get("type") or path.type)
    document |= {"name": path.names[-1], "type": kind}
    return None if kind.lower() == path.type.lower() else f"type: {kind}, but the id is of a {path.type}"


def _place(document: Json, scope: Scope) -> str | None:
    """Gives a resource that has a type and a name, as in a template, its id."""
    kind, name = document.get("type"), document.get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return f"has neither an id nor type and name; an id is {ID_FORM}"
    namespace, *types = kind.split("/")
    names = name.split("/")
    if len(types) != len(names) or not all((namespace, *types, *names)):
        return f"type {kind} wants {len(types)} names divided by slashes, not {name!r}"
    pairs = "/".join(f"{one}/{two}" for one, two in zip(types, names, strict=True))
    document |= {"id": f"{scope.id}/providers/{namespace}/{pairs}", "name": names[-1]}
    return None


def _is_id(text: str) -> bool:
    path = parse_path(text)
    return path is not None and path.is_resource


def _below(parent: Json, child: Any) -> Any:
    """A resource that a template has inside another one: its type and name begin with that one's."""
    if not isinstance(child, dict) or "id" in child or "type" not in child or "name" not in child:
        return child
    path = path_of(parent["id"])
    full = str(child["type"]) if "/" in str(child["type"]) else f"{path.type}/{child['type']}"
    name = str(child["name"])
    return {**child, "type": full, "name": name if "/" in name else "/".join((*path.names, name))}


def _without_groups(value: Any) -> Any:
    """Without the `resourceGroup` that `az` adds to whatever has an id."""
    if isinstance(value, list):
        return [_without_groups(one) for one in value]
    if not isinstance(value, dict):
        return value
    is_az_s = GROUP.match(str(value.get("id", ""))) is not None
    return {key: _without_groups(one) for key, one in value.items() if not (is_az_s and key == "resourceGroup")}
