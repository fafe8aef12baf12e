"""ARM templates as `az group export` writes them: each expression becomes its value.

Only what exports use is evaluated (`FUNCTIONS`, `parameters`, `variables`): a template that computes more is deployed, not
exported. What cannot be evaluated is a fault that says where.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.resources import Json

TOKEN = re.compile(r"\s*('(?:[^']|'')*'|-?\d+|[A-Za-z_]\w*|[().,])\s*")
DEPTH_MAX = 20  # of variables that are made of variables


class TemplateError(ValueError):
    """An expression that cannot be evaluated; the message says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a template's resources are."""

    subscription: str
    group: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"


@dataclass(frozen=True, slots=True)
class Template:
    document: Json
    scope: Scope

    def value(self, text: str, depth: int = 0) -> Any:
        """Of one expression, without its brackets. Raises TemplateError."""
        if depth > DEPTH_MAX:
            raise TemplateError("variables that are made of each other")
        tokens = _tokens(text)
        found = self._term(tokens, depth)
        if tokens:
            raise TemplateError(f"{tokens[0]!r} was not expected in [{text}]")
        return found

    def _term(self, tokens: list[str], depth: int) -> Any:
        token = _next(tokens)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token.lstrip("-").isdigit():
            return int(token)
        if not tokens or tokens[0] != "(":
            raise TemplateError(f"{token!r} is no call of a function")
        found = self._called(token, list(self._arguments(tokens, depth)), depth)
        while tokens and tokens[0] == ".":
            _next(tokens)
            name = _next(tokens)
            if not isinstance(found, dict) or name not in found:
                raise TemplateError(f"{token}() has no {name!r}")
            found = found[name]
        return found

    def _arguments(self, tokens: list[str], depth: int) -> Iterator[Any]:
        _next(tokens)
        while tokens and tokens[0] != ")":
            yield self._term(tokens, depth)
            if tokens and tokens[0] == ",":
                _next(tokens)
        if _next(tokens) != ")":
            raise TemplateError("a bracket is not closed")

    def _called(self, name: str, given: list[Any], depth: int) -> Any:
        match name.lower():
            case "parameters" if given:
                return self._parameter(str(given[0]), depth)
            case "variables" if given:
                held = self.document.get("variables") or {}
                if given[0] not in held:
                    raise TemplateError(f"there is no variable {given[0]!r}")
                return self.inner(held[given[0]], depth)
            case known if known in FUNCTIONS:
                return FUNCTIONS[known](self.scope, given)
        there = ", ".join(("parameters", "variables", *FUNCTIONS))
        raise TemplateError(f"{name}() is not evaluated, only {there}: write its value")

    def _parameter(self, name: str, depth: int) -> Any:
        known = (self.document.get("parameters") or {}).get(name)
        if known is None:
            raise TemplateError(f"there is no parameter {name!r}")
        if known.get("defaultValue") is None:
            raise TemplateError(f"parameter {name!r} has no value: write one as its defaultValue")
        return self.inner(known["defaultValue"], depth)

    def inner(self, value: Any, depth: int = 0) -> Any:
        """A value, or what it is an expression of. Raises TemplateError."""
        if isinstance(value, str) and value.startswith("[[") and value.endswith("]"):
            return value[1:]
        if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
            return self.value(value[1:-1], depth + 1)
        return value


def evaluated(template: Template, value: Any, at: str, faults: list[str]) -> Any:
    """`value` with every expression in it evaluated; what cannot be is noted in `faults`, with where it stands."""
    if isinstance(value, dict):
        return {key: evaluated(template, each, f"{at}.{key}", faults) for key, each in value.items()}
    if isinstance(value, list):
        return [evaluated(template, each, f"{at}[{number}]", faults) for number, each in enumerate(value)]
    try:
        return template.inner(value)
    except TemplateError as error:
        faults.append(f"{at}: {value}: {error}")
        return value


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise TemplateError(f"{text[at:]!r} is no expression")
        found.append(token[1])
        at = token.end()
    return found


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise TemplateError("the expression ends too early")
    return tokens.pop(0)


def _resource_id(scope: Scope, given: list[Any]) -> str:
    """resourceId([subscription], [group], type, name, ...)."""
    words = [str(one) for one in given]
    at = next((number for number, word in enumerate(words) if "/" in word), None)
    if at is None or at > 2:
        raise TemplateError("resourceId() without a type")
    group = words[at - 1] if at >= 1 else scope.group
    subscription = words[0] if at == 2 else scope.subscription
    namespace, *types = words[at].split("/")
    names = words[at + 1 :]
    if len(types) != len(names):
        raise TemplateError(f"resourceId() of {words[at]} wants {len(types)} names, not {len(names)}")
    pairs = "/".join(f"{kind}/{name}" for kind, name in zip(types, names, strict=True))
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{pairs}"


def _resource_group(scope: Scope, _given: list[Any]) -> Json:
    return {"id": scope.id, "name": scope.group, "location": "uksouth"}


def _subscription(scope: Scope, _given: list[Any]) -> Json:
    return {"id": f"/subscriptions/{scope.subscription}", "subscriptionId": scope.subscription}


FUNCTIONS: dict[str, Callable[[Scope, list[Any]], Any]] = {
    "concat": lambda _scope, given: "".join(str(one) for one in given),
    "tolower": lambda _scope, given: "".join(str(one).lower() for one in given),
    "resourceid": _resource_id,
    "resourcegroup": _resource_group,
    "subscription": _subscription,
}
