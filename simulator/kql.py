"""The small part of the Kusto query language that a query for health events needs.

A table, then `where`, `project`, `summarize`, `sort by`/`order by`, `take`/`limit` and `count`, joined by `|`. Anything else is
refused by name rather than ignored, so that a query the simulator cannot answer is noticed.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

type Row = dict[str, Any]

AGO = re.compile(r"ago\((\d+(?:\.\d+)?)([smhd])\)$", re.IGNORECASE)
DATETIME = re.compile(r"datetime\(['\"]?([^)'\"]+)['\"]?\)$", re.IGNORECASE)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
COMPARISON = re.compile(
    r"^\s*(\w+)\s*(==|=~|!=|!~|>=|<=|>|<|has|contains|startswith|in~|in)\s*(.+?)\s*$", re.IGNORECASE
)
TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "=~": lambda a, b: str(a).lower() == str(b).lower(),
    "!~": lambda a, b: str(a).lower() != str(b).lower(),
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "has": lambda a, b: str(b).lower() in str(a).lower(),
    "contains": lambda a, b: str(b).lower() in str(a).lower(),
    "startswith": lambda a, b: str(a).lower().startswith(str(b).lower()),
    "in": lambda a, b: a in b,
    "in~": lambda a, b: str(a).lower() in [str(one).lower() for one in b],
}
BY = re.compile(r"(?:^|\s)(by)\s", re.IGNORECASE)
COMMA = re.compile(r",(?![^(]*\))")
AGGREGATE = re.compile(r"(?:(\w+)\s*=\s*)?(\w+)\(([^)]*)\)")
AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "max": lambda values: max(values, default=None),
    "min": lambda values: min(values, default=None),
    "dcount": lambda values: len(set(values)),
}


class QueryError(ValueError):
    """A query that is wrong, or that the simulator does not understand."""


def split(query: str) -> tuple[str, list[str]]:
    """(table, stages) of a query."""
    stages = [stage.strip() for stage in re.split(r"\|(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$)", query) if stage.strip()]
    if not stages:
        raise QueryError("the query is empty")
    return stages[0], stages[1:]


def run(rows: list[Row], columns: list[str], stages: list[str], now: datetime) -> tuple[list[str], list[Row]]:
    """The columns and rows that are left after all stages. Raises QueryError."""
    for stage in stages:
        word, _, rest = stage.partition(" ")
        match word.lower():
            case "where":
                rows = _where(rows, columns, rest, now)
            case "project":
                columns = [_known(name.strip(), columns) for name in rest.split(",")]
            case "summarize":
                columns, rows = _summarized(rows, columns, rest)
            case "sort" | "order":
                rows = _sorted(rows, columns, rest)
            case "take" | "limit":
                rows = rows[: int(rest)]
            case "count":
                return ["Count"], [{"Count": len(rows)}]
            case _:
                raise QueryError(f"the simulator does not know {word!r}")
    return columns, rows


def _where(rows: list[Row], columns: list[str], rest: str, now: datetime) -> list[Row]:
    tests = [_test(part, columns, now) for part in re.split(r"\s+and\s+", rest, flags=re.IGNORECASE)]
    return [row for row in rows if all(test(row) for test in tests)]


def _test(text: str, columns: list[str], now: datetime) -> Callable[[Row], bool]:
    found = COMPARISON.match(text.strip().strip("()") if text.strip().startswith("(") else text)
    if found is None:
        raise QueryError(f"not a comparison: {text.strip()!r}")
    name = _known(found.group(1), columns)
    test = TESTS[found.group(2).lower()]
    value = _value(found.group(3), now)
    return lambda row: test(row[name], value)


def _value(text: str, now: datetime) -> Any:
    text = text.strip()
    ago = AGO.match(text)
    if ago is not None:
        return now - timedelta(seconds=float(ago.group(1)) * UNITS[ago.group(2).lower()])
    moment = DATETIME.match(text)
    if moment is not None:
        return datetime.fromisoformat(moment.group(1))
    if text.startswith("("):
        return [_value(part, now) for part in text.strip("()").split(",")]
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    raise QueryError(f"not a value: {text!r}")


def _sorted(rows: list[Row], columns: list[str], rest: str) -> list[Row]:
    words = rest.split()
    if not words or words[0].lower() != "by" or len(words) < 2:
        raise QueryError(f"not a sort: {rest!r}")
    name = _known(words[1], columns)
    ascending = len(words) > 2 and words[2].lower() == "asc"
    return sorted(rows, key=lambda row: row[name], reverse=not ascending)


def _summarized(rows: list[Row], columns: list[str], rest: str) -> tuple[list[str], list[Row]]:
    """`[name =] aggregate(column), … by column, …`; the columns of `by` come first, as in Kusto."""
    wanted, _, by = BY.split(f"{rest} ", 1) if BY.search(rest) else (rest, "", "")
    keys = [_known(name.strip(), columns) for name in by.split(",") if name.strip()]
    aggregates = [_aggregate(part.strip(), columns) for part in COMMA.split(wanted) if part.strip()]
    found = [
        dict(zip(keys, group, strict=True)) | {name: act(members) for name, act in aggregates}
        for group, members in _grouped(rows, keys).items()
    ]
    return [*keys, *(name for name, _ in aggregates)], found


def _grouped(rows: list[Row], keys: list[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Without a key all rows are one group, also where there is none."""
    groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _aggregate(text: str, columns: list[str]) -> tuple[str, Callable[[list[Row]], Any]]:
    found = AGGREGATE.fullmatch(text)
    kind = found[2].lower() if found is not None else ""
    if found is None or kind not in AGGREGATES:
        raise QueryError(f"the simulator does not summarize by {text!r}")
    if kind == "count":
        return found[1] or "count_", len
    column = _known(found[3].strip(), columns)
    act = AGGREGATES[kind]
    return found[1] or f"{kind}_{column}", lambda rows: act([row[column] for row in rows])


def _known(name: str, columns: list[str]) -> str:
    if name not in columns:
        raise QueryError(f"'where' operator: Failed to resolve column or scalar expression named '{name}'")
    return name
