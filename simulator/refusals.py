"""What ARM refuses before a resource provider sees it, in ARM's own words.

Sources: curl's answer without a token (index id 32433223230) and its challenge (7319117922); a live 404 for a
subscription (57443128105); Microsoft's page on errors for parent resources and a public report of the words used now
(850373403); a deployment's InvalidResourceName (6708318675); a PUT with a property too many (49101026355, api 2024-10-01).
"""

import re

from simulator.kinds import is_network, kind_of
from simulator.resources import Json, ResourcePath, Resources
from simulator.state import ArmError

NAME_MAX = 80
NAME = re.compile(rf"\w(?:[\w.-]{{0,{NAME_MAX - 2}}}\w)?", re.ASCII)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}


def demand_scope(resources: Resources, subscription: str, group: str | None) -> None:
    """Raises ArmError where a subscription or a resource group is not there."""
    if not resources.has_subscription(subscription):
        if GUID.fullmatch(subscription) is None:
            words = f"The provided subscription identifier '{subscription}' is malformed or invalid."
            raise ArmError(400, "InvalidSubscriptionId", words)
        raise ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
    if group is not None and not resources.has_group(subscription, group):
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def missing(path: ResourcePath) -> ArmError:
    """Of a resource that is not there. Of a child, the network resource provider speaks, where the parent is there."""
    if len(path.names) > 1:
        return ArmError(404, "NotFound", f"Resource {path.id} not found.")
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{path.type}/{path.names[0]}' under resource group '{path.group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def parent_missing(path: ResourcePath, method: str) -> ArmError:
    """Of a child, an action or a collection below a resource that is not there."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        f"Failed to perform '{VERBS.get(method, 'action')}' on resource(s) of type '{'/'.join(path.types)}', "
        f"because the parent resource '{path.up().id}' could not be found.",
    )


def reference_missing(referred: str, by: str) -> ArmError:
    """Of a resource that names another one which is not there."""
    return ArmError(
        400,
        "InvalidResourceReference",
        f"Resource {referred} referenced by resource {by} was not found. Please make sure that the referenced resource "
        "exists, and that both resources are in the same region.",
    )


def demand_name(path: ResourcePath) -> None:
    """Raises ArmError for a name that the network resource provider takes for none of its resources."""
    name = path.names[-1]
    if is_network(path.type) and NAME.fullmatch(name) is None:
        raise ArmError(
            400,
            "InvalidResourceName",
            f"Resource name {name} is invalid. The name can be up to {NAME_MAX} characters long. It must begin with a "
            "word character, and it must end with a word character or with '_'. The name may contain word characters "
            "or '.', '-', '_'.",
        )


def demand_known(path: ResourcePath, body: Json, known: Json | None) -> None:
    """Raises ArmError for a property that the type has not: the network resource provider cannot parse the request.

    One that the document has already is the type's own: what Azure answers has some that no specification names.
    """
    kind = kind_of(path.type)
    held = () if known is None else known["properties"]
    for name in body.get("properties") or ():
        if not kind.knows(name) and name not in held:
            detail = {
                "code": "InvalidJson",
                "message": f"Could not find member '{name}' on object of type '{path.types[-1]}'. "
                f"Path 'properties.{name}'.",
            }
            raise ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", details=(detail,))


def demand_tags_alone(path: ResourcePath, body: Json) -> Json:
    """The body of a PATCH ("Update Tags" of the network resource provider). Raises ArmError where it changes more."""
    more = sorted(body.keys() - {"tags"})
    if more:
        words = f"The simulator answers PATCH of {path.type} with tags alone, not {', '.join(more)}: PUT the whole document."
        raise ArmError(405, "MethodNotAllowed", words)
    return body


def refuse_unless_matched(resource_id: str, known: Json | None, if_match: str | None) -> None:
    """Raises ArmError where the condition of a write does not hold."""
    if if_match not in (None, "*", (known or {}).get("etag")):
        message = f"Precondition failed. If-Match does not match the current etag of {resource_id}."
        raise ArmError(412, "PreconditionFailed", message)
