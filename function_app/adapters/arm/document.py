"""Reading ARM's JSON: plain objects out of the SDK's models, lists that are whole, and the parts that every document has.

A missing key is absent, never null. Whatever is not of its kind raises ValueError, which `client.calling` translates.
"""

from collections.abc import AsyncIterable, Callable
from ipaddress import AddressValueError, IPv4Address
from typing import Any, cast

type Json = dict[str, Any]

MESSAGE_MAX = 300
"""Characters of a server's own words in a reason."""


async def whole(listing: Callable[..., AsyncIterable[Any]], *where: str) -> list[Json]:
    """Every page of one of the SDK's lists, as ARM answered it. Raises ValueError for one without `value` (REST: required),
    which the SDK takes for an empty one, and for an item that is no object."""
    return [plain(item) async for item in listing(*where, raw_response_hook=_has_value)]


def _has_value(answer: Any) -> None:
    response = answer.http_response
    if response.status_code == 200:
        body = response.json()
        if not isinstance(body, dict) or not isinstance(body.get("value"), list):
            raise ValueError("it is no list: it has no `value`, or one of another kind")


def plain(found: Any) -> Json:
    """A model of the SDK as ARM answered it, without nulls: a key that is null is absent (REST: nearly every one is
    optional). Raises ValueError for what is no object, and for a null in a list: which row it was is unknown."""
    return cast(Json, _without_nulls(found.as_dict() if hasattr(found, "as_dict") else objected(found), "$"))


def _without_nulls(value: object, path: str) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(each, f"{path}.{name}") for name, each in value.items() if each is not None}
    if isinstance(value, list):
        if None in value:
            raise ValueError(f"{path}[{value.index(None)}] is null")
        return [_without_nulls(each, f"{path}[{i}]") for i, each in enumerate(value)]
    return value


def objected(value: object) -> Json:
    """The value itself. Raises ValueError, with the value, where it is no object."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no object"[:MESSAGE_MAX])
    return value


def items_of(facts: Json, name: str) -> list[Any]:
    """A list of that name, empty where there is none. Raises ValueError, and names it, where it is of another kind."""
    items = objected(facts).get(name)
    if not isinstance(items, list | None):
        raise ValueError(f"{name} is no list: {items!r}"[:MESSAGE_MAX])
    return items or []


def facts_of(item: Json) -> Json:
    """The `properties` of a document or of a part of one, empty where it has none. Raises ValueError, and names it."""
    facts = objected(item).get("properties")
    if not isinstance(facts, dict | None):
        raise ValueError(f"the properties of {name_of(item) or item} are {facts!r}"[:MESSAGE_MAX])
    return facts or {}


def name_of(item: Json) -> str:
    """Of a part of a document: its name, or the last of its id; empty where neither is there."""
    return str(objected(item).get("name") or str(item.get("id") or "").rpartition("/")[2])


def last_of(reference: object) -> str:
    """The name of the resource that a reference (`{"id": ...}`) names, empty where there is none. Raises ValueError."""
    return str(objected(reference or {}).get("id") or "").rpartition("/")[2]


def ipv4(text: object) -> IPv4Address | None:
    """An address of a document; None where it is missing, IPv6 or no address."""
    try:
        return IPv4Address(str(text))
    except AddressValueError:
        return None
