"""Breaks an input: bytes that are flipped, cut, doubled and spliced; values of JSON that are impossible in shape or in sense."""

import json
from random import Random
from typing import Any

POISON: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**53, 10**20, 10**400, "", "\n", "nva-a\n", "\ud800", "\x1b[31m", "\0", "٣", "0x10",
    "1" * 5000, "0.0.0.0/0", "10.0.0.0/33", "300.1.1.1", "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "PT1S",
    "P999999999D", "Fri, 31 Dec 9999 23:59:59 -2359", [], {}, [[]], [None], {"a": {}}, ["x"] * 300,
)  # fmt: skip
PIECES = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"{", b"[", b"]", b'"', b"\\ud800", b": ", b"- ", b"&a ", b"*a", b"!!int ",
    b"<<: ", b"\r", b"\t", b"1e999", b"NaN", b"-0", b"\n---\n", b"." * 40, b"[" * 3000, b"{a: " * 800, b"\n" * 300,
    b"9" * 4500,
)  # fmt: skip


def mutated(data: bytes, corpus: tuple[bytes, ...], random: Random) -> bytes:
    """One more broken input, made of one of the corpus."""
    if random.random() < 0.6:
        try:
            return _of_structure(json.loads(data), random)
        except ValueError:
            pass  # this one is no JSON: only its bytes can be broken
    for _ in range(random.choice((1, 1, 2, 4))):
        data = _of_bytes(data, corpus, random)
    return data


def _of_bytes(data: bytes, corpus: tuple[bytes, ...], random: Random) -> bytes:
    at, to = sorted(random.randrange(len(data) + 1) for _ in range(2))
    match random.randrange(6):
        case 0:
            return data[:at] + data[to:]
        case 1:
            return data[:to] + data[at:]
        case 2:
            return data[:at] + random.choice(corpus)[at:]
        case 3:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case _:
            return data[:at] + random.choice(PIECES) + data[at + random.randrange(2) :]


def _of_structure(value: Any, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        value = _broken(value, random)
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _broken(value: Any, random: Random) -> Any:
    """The same with one part of it replaced, removed or doubled."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.15:
        return random.choice(POISON)
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if random.random() < 0.6:
        return _with(value, key, _broken(value[key], random))
    if isinstance(value, dict):
        rest = {name: each for name, each in value.items() if name != key}
        return random.choice((rest, {**value, f"{key}x": value[key]}, {**rest, "": value[key]}))
    return random.choice(([*value[:key], *value[key + 1 :]], [*value, value[key]]))


def _with(value: Any, key: Any, part: Any) -> Any:
    if isinstance(value, dict):
        return {**value, key: part}
    return [*value[:key], part, *value[key + 1 :]]
