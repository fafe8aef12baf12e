"""How an IPv4 address or network is read from text: one spelling, wherever the text comes from."""

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any


def dotted_decimal(kind: type, value: object) -> Any:
    """An IPv4Address, or an IPv4Network with or without its length; msgspec's `dec_hook` for both.

    Dotted decimal only: no integers, no octal, no mapped IPv6 (safety.md section 8, spellings of addresses). Raises
    ValueError, and NotImplementedError for any other kind.
    """
    if kind not in (IPv4Address, IPv4Network):
        raise NotImplementedError(kind)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9.]+(/[0-9]+)?", value):
        raise ValueError(f"Expected an IPv4 {kind.__name__[4:].lower()} in dotted decimal, got {value!r}")
    return kind(value)
