"""Resource ids and the store of ARM documents.

Ids are compared without case, as ARM does, and kept in the case they were written in. This module knows no type.
"""

from dataclasses import dataclass
from typing import Any

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """A path below a subscription. `names` is as long as `types`, or one shorter for a collection or an action."""

    subscription: str
    group: str | None
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def type(self) -> str:
        return "/".join((self.namespace, *self.types))

    @property
    def is_resource(self) -> bool:
        return len(self.types) == len(self.names)

    @property
    def id(self) -> str:
        scope = f"/subscriptions/{self.subscription}"
        if self.group is not None:
            scope += f"/resourceGroups/{self.group}"
        pairs = [part for i, kind in enumerate(self.types) for part in (kind, *self.names[i : i + 1])]
        return "/".join((f"{scope}/providers/{self.namespace}", *pairs))

    def up(self, levels: int = 1) -> "ResourcePath":
        """The resource that holds this one: an action's or a collection's owner for one level."""
        keep = len(self.types) - levels
        return ResourcePath(self.subscription, self.group, self.namespace, self.types[:keep], self.names[:keep])


def parse_path(path: str) -> ResourcePath | None:
    """`/subscriptions/{s}[/resourceGroups/{g}]/providers/{namespace}/{type}[/{name}/{type}…]`, or None."""
    parts = [part for part in path.split("/") if part]
    lowered = [part.lower() for part in parts]
    if len(parts) < 2 or lowered[0] != "subscriptions":
        return None
    group = None
    rest = 2
    if len(parts) >= 4 and lowered[2] == "resourcegroups":
        group, rest = parts[3], 4
    if len(parts) < rest + 3 or lowered[rest] != "providers":
        return None
    below = parts[rest + 2 :]
    return ResourcePath(parts[1], group, parts[rest + 1], tuple(below[0::2]), tuple(below[1::2]))


def path_of(resource_id: str) -> ResourcePath:
    """Of what is known to be an id. Raises ValueError."""
    path = parse_path(resource_id)
    if path is None:
        raise ValueError(f"not a resource id: {resource_id}")
    return path


def key_of(resource_id: str) -> str:
    """What two spellings of one id have in common."""
    return resource_id.rstrip("/").lower()


class Resources:
    """ARM documents by id, in the order they came."""

    def __init__(self) -> None:
        self._documents: dict[str, Json] = {}
        self._groups: dict[str, set[str]] = {}  # by subscription; a group outlives what was in it

    def get(self, resource_id: str) -> Json | None:
        return self._documents.get(key_of(resource_id))

    def put(self, document: Json) -> None:
        key = key_of(document["id"])
        if key not in self._documents:
            self.add_scope(key)
        self._documents[key] = document

    def add_scope(self, resource_id: str) -> None:
        """The subscription and, if it names one, the resource group of an id are there from now on."""
        parts = key_of(resource_id).split("/")
        groups = self._groups.setdefault(parts[2], set())
        if len(parts) > 4 and parts[3] == "resourcegroups":
            groups.add(parts[4])

    def has_subscription(self, subscription: str) -> bool:
        return subscription.lower() in self._groups

    def has_group(self, subscription: str, group: str) -> bool:
        return group.lower() in self._groups.get(subscription.lower(), ())

    def remove(self, resource_id: str) -> None:
        self._documents.pop(key_of(resource_id), None)

    def below(self, scope: str) -> list[Json]:
        """What is at a scope and everything below it, the deepest first."""
        top = key_of(scope)
        found = [doc for key, doc in self._documents.items() if key == top or key.startswith(f"{top}/")]
        return sorted(found, key=lambda document: -str(document["id"]).count("/"))

    def scopes(self) -> dict[str, list[str]]:
        """The resource groups that are there, by subscription; all in small letters."""
        return {subscription: sorted(groups) for subscription, groups in self._groups.items()}

    def drop_group(self, subscription: str, group: str) -> None:
        self._groups[subscription.lower()].discard(group.lower())

    def all(self) -> list[Json]:
        return list(self._documents.values())

    def of_type(self, resource_type: str) -> list[Json]:
        wanted = resource_type.lower()
        return [document for document in self.all() if str(document.get("type", "")).lower() == wanted]

    def in_collection(self, collection: ResourcePath) -> list[Json]:
        """The members of a collection: below a parent, in a group, or in the whole subscription."""
        scope = f"/subscriptions/{collection.subscription}/".lower()
        if collection.group is not None:
            scope += f"resourcegroups/{collection.group}/".lower()
        prefix = key_of(collection.id) + "/" if collection.names else scope
        return [document for document in self.of_type(collection.type) if key_of(document["id"]).startswith(prefix)]
