"""The software bill of materials of the app: every library in its package. CycloneDX 1.6 JSON.

A library's entry is from its own metadata, with the hash of the wheel that it came in. Requirements are followed as on
the platform that the app runs on: what is in the package and is not needed is an error, as is what is needed and is not
there. Neither date nor chance is in the document: the same pins give the same one. Written by hand: `cyclonedx-python-lib`
dates what it writes, and saves few of these lines; its schema is what the document is tested against.
"""

import hashlib
import json
import tomllib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.processes import ToolError
from tools.release.libraries import Libraries

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, appendix C: names that are URLs
LICENSE_NAME_MAX = 64  # beyond that the field holds a licence's whole text
PLATFORM = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_version": "3.13",
    "python_full_version": "3.13.0",
}


@dataclass(frozen=True, slots=True)
class Library:
    """One library of the closure; `needs` are the canonical names of those that it requires, sorted."""

    name: str
    version: str
    license: Mapping[str, Any] | None
    summary: str
    home: str
    needs: tuple[str, ...]

    @property
    def url(self) -> str:
        """Its package URL, which also names it within the document."""
        return f"pkg:pypi/{self.name}@{self.version}"


def requirements(text: str) -> list[Requirement]:
    """The lines of a requirements file, without comments and options. Raises ValueError."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pins(root: Path) -> dict[str, str]:
    """The version that constraints.txt gives to each library, by canonical name. Raises OSError, ValueError."""
    pinned = requirements((root / "constraints.txt").read_text())
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in pinned}


def closure(
    direct: list[Requirement],
    pins: Mapping[str, str],
    find: Callable[[str], Distribution],
) -> dict[str, Library]:
    """All libraries that `direct` needs, by canonical name, sorted.

    Raises ToolError for one that `find` does not find, that is not in `pins`, or that has another version than pinned.
    """
    needed: dict[str, set[str]] = {}
    found: dict[str, Library] = {}
    due = [(canonicalize_name(one.name), frozenset(one.extras)) for one in direct]
    while due:
        name, extras = due.pop()
        if name in found and extras <= needed[name]:
            continue
        needed[name] = needed.get(name, set()) | extras
        own = _distribution(name, pins, find)
        below = [one for one in map(Requirement, own.requires or ()) if _applies(one, needed[name])]
        needs = sorted({canonicalize_name(one.name) for one in below})
        found[name] = _library(name, own, tuple(needs))
        due += [(canonicalize_name(one.name), frozenset(one.extras)) for one in below]
    return dict(sorted(found.items()))


def document(root: Path, package: Path, brought: Libraries) -> dict[str, Any]:
    """The bill of materials of the project at `root`, for its `package` with the libraries `brought`.

    Raises ToolError, OSError.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    direct = requirements((root / "requirements.txt").read_text())
    libraries = closure(direct, pins(root), brought.find)
    if unneeded := sorted(set(brought.wheels) - set(libraries)):
        raise ToolError(f"in the package, and nothing needs it: {', '.join(unneeded)}")
    app = f"{project['name']}@{project['version']}"
    body = {
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": app,
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(package.read_bytes()).hexdigest()}],
            },
            "properties": [{"name": f"hopkeeper:{key}", "value": value} for key, value in sorted(PLATFORM.items())],
        },
        "components": [_component(one, brought.wheels[one.name]) for one in libraries.values()],
        "dependencies": [
            {"ref": app, "dependsOn": sorted(libraries[canonicalize_name(one.name)].url for one in direct)},
            *({"ref": one.url, "dependsOn": [libraries[name].url for name in one.needs]} for one in libraries.values()),
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(body, sort_keys=True))
    head = {"$schema": SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": serial.urn, "version": 1}
    return head | body


def licences(made: Mapping[str, Any]) -> list[str]:
    """Of a bill of materials, under which licence each library comes, sorted: the texts lie in the package beside the library.

    Raises ToolError for one that does not say."""
    silent = [one["name"] for one in made["components"] if not one.get("licenses")]
    if silent:
        raise ToolError(
            f"no licence is named by {', '.join(silent)}: read theirs, and write it down before it is handed out"
        )
    return [f"{one['name']} {one['version']}: {_named(one['licenses'][0])}" for one in made["components"]]


def _named(choice: Mapping[str, Any]) -> str:
    return str(choice.get("expression") or choice["license"]["name"])


def write(root: Path, package: Path, out: Path, brought: Libraries) -> int:
    """Writes the document to `out`, the list of licences beside it; gives the number of libraries. Raises ToolError, OSError."""
    made = document(root, package, brought)
    listed = licences(made)
    out.write_text(json.dumps(made, indent=1) + "\n")
    out.with_name(out.name.replace(".sbom.json", ".licences.txt")).write_text("\n".join(listed) + "\n")
    return len(listed)


def _distribution(name: str, pins: Mapping[str, str], find: Callable[[str], Distribution]) -> Distribution:
    try:
        own = find(name)
    except PackageNotFoundError as missing:
        raise ToolError(f"{name} is needed and is not there: make pins package") from missing
    if name not in pins:
        raise ToolError(f"{name} is not in constraints.txt: make constraints")
    if own.version != pins[name]:
        raise ToolError(f"{name} {own.version} is there, constraints.txt says {pins[name]}: make constraints")
    return own


def _applies(one: Requirement, extras: set[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({**PLATFORM, "extra": extra}) for extra in extras | {""})


def _library(name: str, own: Distribution, needs: tuple[str, ...]) -> Library:
    said = own.metadata
    return Library(name, own.version, _license(said), said.get("Summary") or "", _home(said), needs)


def _license(said: Any) -> Mapping[str, Any] | None:
    """As CycloneDX writes it: an expression where the library gives one, else the name that it uses."""
    if expression := said.get("License-Expression"):
        return {"expression": expression}
    classified = [one.split(" :: ")[-1] for one in said.get_all("Classifier", ()) if one.startswith("License ::")]
    text = (said.get("License") or "").strip()
    name = text if text and "\n" not in text and len(text) <= LICENSE_NAME_MAX else next(iter(classified), "")
    return {"license": {"name": name}} if name else None


def _home(said: Any) -> str:
    named = dict(one.split(", ", 1) for one in said.get_all("Project-URL", ()) if ", " in one)
    by_name = {key.lower(): url for key, url in named.items()}
    wanted = ("homepage", "home", "repository", "source", "source code", "github")
    return next((by_name[name] for name in wanted if name in by_name), said.get("Home-page") or "")


def _component(one: Library, wheel: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.url,
        "name": one.name,
        "version": one.version,
        "purl": one.url,
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": wheel}],
    }
    if one.summary:
        entry["description"] = one.summary
    if one.license is not None:
        entry["licenses"] = [one.license]
    if one.home.startswith("http"):
        entry["externalReferences"] = [{"type": "website", "url": one.home}]
    return entry
