"""How an IPv4 address or network is read from text: one spelling, wherever the text comes from."""

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

NO_ADDRESS = IPv4Network("0.0.0.0/32")


def dotted_decimal(kind: type, value: object) -> Any:
    """An IPv4Address, or an IPv4Network with its length; msgspec's `dec_hook` for both.

    Dotted decimal only: no integers, no octal, no mapped IPv6 (safety.md section 8, spellings of addresses). Raises
    ValueError, and NotImplementedError for any other kind.
    """
    read = with_or_without_length(kind, value)
    if kind is IPv4Network and read == NO_ADDRESS:
        raise ValueError(f"{value} is no address that anybody has: write 0.0.0.0/0 for the default route")
    if kind is IPv4Network and "/" not in str(value):
        raise ValueError(f"{value} has no length: write {value}/32 for the one address, or the length of the network")
    return read


def with_or_without_length(kind: type, value: object) -> Any:
    """The same, where a network without a length is the one address: as it was read before it had to have one."""
    if kind not in (IPv4Address, IPv4Network):
        raise NotImplementedError(kind)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9.]+(/[0-9]+)?", value):
        why = ": Hopkeeper handles IPv4 only" if isinstance(value, str) and ":" in value else ""
        raise ValueError(f"Expected an IPv4 {kind.__name__[4:].lower()} in dotted decimal, got {value!r}{why}")
    try:
        return kind(value)
    except ValueError as error:
        if kind is IPv4Network and (around := _around(value)) is not None:
            raise ValueError(f"{value} has host bits set: write {around}") from error
        raise


def _around(value: str) -> IPv4Network | None:
    """The network that an address with a length is in; None for what is neither."""
    try:
        return IPv4Network(value, strict=False)
    except ValueError:
        return None
