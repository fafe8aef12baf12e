"""Route templates of HTTP triggers, matched as the platform's ASP.NET routing does.

`status/{topology?}`, `{id:int}`, `{name=default}`, `{*rest}`. Literals ignore case, one trailing slash means nothing but to
a catch-all, `.` and `..` are resolved first, values are percent-decoded but for `%2F`. Pure; knows no HTTP beyond a method's
name. Not `werkzeug.routing`: it has other ranks, no optional segments, no constraints on a part of one, and decodes `%2F`, so
that each would have to be redone.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from tools.functions_host.errors import ConfigurationError

_CONSTRAINTS = {
    "int": r"[+-]?\d{1,10}",
    "long": r"[+-]?\d{1,19}",
    "bool": r"(?i:true|false)",
    "alpha": r"[A-Za-z]*",
    "guid": r"(?i:\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?)",
    "decimal": r"[+-]?\d*\.?\d+",
    "float": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
    "double": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
}
_LENGTHS = {
    "length": re.compile(r"(\d+)(?:,(\d+))?"),
    "minlength": re.compile(r"(\d+)()"),
    "maxlength": re.compile(r"()(\d+)"),
}
_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)((?::(?:[^{}=?()]|\([^()]*\))+)?)(?:=([^{}?]*))?(\?)?\}")
_UNSET = "\0"
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPES_IN_A_PATH = re.compile(r"(?:%(?!2[Ff])[0-9A-Fa-f]{2})+")
_ESCAPED_IN_A_URL = re.compile(r"%(?![0-9A-Fa-f]{2})|[^\w%/:@!$&'()*+,;=.~-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One part between slashes: the pattern its decoded text must match, and how special it is (lower comes first)."""

    pattern: re.Pattern[str]
    rank: int
    rest: bool = False
    default: str | None = None  # what it is when the path ends before it; None: it must be there; _UNSET: left out
    name: str = ""

    def values(self, text: str) -> dict[str, str] | None:
        """What this part of a path gives, empty where the path ends before it; None where it does not match."""
        if not text:
            missing = {} if self.default == _UNSET else {self.name: self.default}
            return None if self.default is None else missing  # type: ignore[return-value]
        found = self.pattern.fullmatch(text)
        return None if found is None else {k: v for k, v in found.groupdict().items() if v is not None}


@dataclass(frozen=True, slots=True)
class Route:
    """A template of one function; `methods` in capitals, empty for any."""

    function: str
    template: str
    methods: frozenset[str]
    segments: tuple[_Segment, ...]

    def match(self, path: Sequence[str], end: str = "") -> dict[str, str] | None:
        """The route's parameters in the decoded parts of a path, or None when it does not match.

        `end` is the slash behind them, or nothing: a catch-all keeps it.
        """
        if len(path) > len(self.segments) and not (self.segments and self.segments[-1].rest):
            return None
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            rest = "/".join(path[index:])
            found = segment.values(rest + end if segment.rest and rest else "".join(path[index : index + 1]))
            if found is None:
                return None
            values |= found
        return values


@dataclass(frozen=True, slots=True)
class Match:
    function: str
    parameters: dict[str, str]


class Table:
    """All routes of an app, tried in the platform's order: literals first, catch-alls last."""

    def __init__(self, prefix: str, routes: Iterable[Route]) -> None:
        self._prefix = [part.lower() for part in prefix.split("/") if part]
        self._routes = sorted(routes, key=lambda route: [segment.rank for segment in route.segments])

    def find(self, method: str, raw_path: str) -> Match | None:
        """The function that a request goes to; None when no route takes this path with this method.

        A path that another method would open is None too: the platform answers 404 there, not 405
        (azure-functions-host issue 10098).
        """
        path = normal(raw_path)
        end = "/" if path.endswith("/") else ""
        parts = path.removeprefix("/").removesuffix("/").split("/")
        if not all(parts):  # `//` anywhere, or nothing at all
            return None
        length = len(self._prefix)
        if [part.lower() for part in parts[:length]] != self._prefix:
            return None
        for route in self._routes:
            if route.methods and method.upper() not in route.methods:
                continue
            if (parameters := route.match(parts[length:], end)) is not None:
                return Match(route.function, parameters)
        return None


def normal(raw_path: str) -> str:
    """A path as the platform reads it: decoded but for `%2F`, and `.` and `..` resolved."""
    parts = _decoded(raw_path, _ESCAPES_IN_A_PATH).split("/")
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[max(1, len(kept) - 1) :]
        elif part != ".":
            kept.append(part)
    return "/".join([*kept, ""] if parts[-1] in (".", "..") else kept)


def shown(path: str) -> str:
    """A normal path as it stands in the URL that a function sees."""
    return _ESCAPED_IN_A_URL.sub(lambda found: quote(found[0], safe=""), path)


def query(raw: str) -> dict[str, str]:
    """The values of a query by the names as they were last written: their case counts for nothing, several are joined."""
    found: dict[str, tuple[str, list[str]]] = {}
    for part in filter(None, raw.split("&")):
        name, _, value = (_decoded(text.replace("+", " "), _ESCAPES) for text in part.partition("="))
        values = found.get(name.lower(), ("", []))[1]
        found[name.lower()] = (name, [*values, value])
    return {name: ",".join(values) for name, values in found.values()}


def _decoded(text: str, escapes: re.Pattern[str]) -> str:
    """What is no UTF-8 stays as it was sent."""

    def plain(found: re.Match[str]) -> str:
        try:
            return unquote_to_bytes(found[0]).decode()
        except UnicodeDecodeError:
            return found[0]

    return escapes.sub(plain, text)


def parse(function: str, template: str, methods: Iterable[str]) -> Route:
    """A route from its template. Raises ConfigurationError for a template or constraint that is not understood."""
    texts = [text for text in template.strip("/").split("/") if text]
    segments = [_segment(function, text) for text in texts]
    for segment in segments[:-1]:
        if segment.rest:
            raise ConfigurationError(f"function {function}: route {template}: only the last segment can be a catch-all")
    for segment, following in itertools.pairwise(segments):
        if segment.default is not None and following.default is None:
            raise ConfigurationError(f"function {function}: route {template}: an optional segment must be last")
    return Route(function, template, frozenset(method.upper() for method in methods), tuple(segments))


def _segment(function: str, text: str) -> _Segment:
    pattern, at, default, rest, constrained, name = "", 0, None, False, False, ""
    for found in _PARAMETER.finditer(text):
        stars, name, constraints, given, optional = found.groups()
        pattern += re.escape(text[at : found.start()])
        rest = bool(stars)
        pattern += f"(?P<{name}>{_constraint(function, constraints, rest=rest)})"
        constrained = constrained or bool(constraints)
        default = given if given is not None else _UNSET if optional or rest else None
        at = found.end()
    tail = text[at:]
    if "{" in tail or "}" in tail:
        raise ConfigurationError(f"function {function}: route segment {text} is not understood")
    whole = at == len(text) and text.startswith("{") and text.count("{") == 1
    rank = _rank(name, rest, whole, constrained)
    return _Segment(re.compile(f"(?i:{pattern}{re.escape(tail)})"), rank, rest, default if whole else None, name)


def _rank(name: str, rest: bool, whole: bool, constrained: bool) -> int:
    """How special a segment is: a literal, text around a parameter, a constrained one, any one, a catch-all."""
    if not name:
        return 0
    if rest:
        return 4
    return (2 if constrained else 3) if whole else 1


def _constraint(function: str, text: str, *, rest: bool) -> str:
    pattern = r"[\s\S]*" if rest else r"[\s\S]+?"
    for constraint in filter(None, text.split(":")):
        name, _, argument = constraint.partition("(")
        argument = argument.removesuffix(")")
        if name in _CONSTRAINTS and not argument:
            pattern = _CONSTRAINTS[name]
        elif name in _LENGTHS and (bounds := _LENGTHS[name].fullmatch(argument)):
            low, high = bounds[1] or "0", bounds[2] if bounds[2] is not None else bounds[1]
            pattern = rf"[\s\S]{{{low},{high}}}"
        elif name == "regex":
            pattern = f"(?:{argument})"
        else:
            raise ConfigurationError(f"function {function}: this host does not know the route constraint {constraint}")
    return pattern
