"""Claims on the wire to and from the agent's own types, strictly, as the JSON Schemas in `contracts/schemas` have them.

Whether a message is authentic is decided in `jws` and `commands`, whether it counts in `role`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeGuard

from hopkeeper_agent.role import (
    Advertise,
    Advertised,
    Advertisement,
    AdvertiseOutward,
    Command,
    Fence,
    Outward,
    Promote,
    Role,
    ServiceState,
    Status,
    Turn,
)

COMMAND = "hopkeeper-command"
REPLY = "hopkeeper-reply"
REPORT = "hopkeeper-report"
HEARTBEAT = "hopkeeper-heartbeat"

ADVERTISEMENTS_MAX = 1000
"""A Route Server's lower documented limit for a peer; the app sends at most 600 (64 KiB of command)."""
OUTWARD_MAX = 200
PREPEND_MAX = 16
NUMBER_MAX = 2**53 - 1
EPOCH_MAX = 2**53 - 2**32
"""Of a command and of the state file: the numbers above it are never used up."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_BOOT_ID = re.compile(r"[0-9a-f]{32}")


class Malformed(ValueError):
    """A message whose shape is wrong; the message names the field."""


def decode_command(value: Any) -> Command:
    """Decode the claim `command`; raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed("command: not an object")
    match value.get("kind"):
        case "status":
            _exactly(value, {"kind"})
            return Status()
        case "fence":
            _exactly(value, {"kind", "service", "epoch", "seq"})
            return Fence(_service(value), turn(value, "command"))
        case "promote":
            _exactly(value, {"kind", "service", "epoch", "seq", "boot_id"})
            return Promote(_service(value), turn(value, "command"), boot_id(value.get("boot_id"), "command.boot_id"))
        case "advertise":
            _exactly(value, {"kind", "service", "epoch", "seq", "advertisements"})
            return Advertise(_service(value), turn(value, "command"), decode_advertisements(value["advertisements"]))
        case "outward":
            _exactly(value, {"kind", "service", "epoch", "seq", "prefixes", "standby_prepend"})
            prefixes, standby_prepend = decode_outward(value)
            return AdvertiseOutward(_service(value), turn(value, "command"), prefixes, standby_prepend)
        case _:
            raise Malformed("command.kind: not one of status, fence, promote, advertise, outward")


def decode_advertisements(value: Any) -> tuple[Advertisement, ...]:
    """Decode a list of advertisements, sorted by prefix; raises Malformed, also for a prefix that occurs twice."""
    if not isinstance(value, list) or len(value) > ADVERTISEMENTS_MAX:
        raise Malformed(f"advertisements: not a list of at most {ADVERTISEMENTS_MAX}")
    found = sorted((_advertisement(item) for item in value), key=lambda item: item.prefix)
    if len({item.prefix for item in found}) != len(found):
        raise Malformed("advertisements: a prefix occurs twice")
    return tuple(found)


def decode_outward(value: Mapping[str, Any]) -> tuple[tuple[IPv4Network, ...], int | None]:
    """Decode `prefixes`, sorted, and `standby_prepend`; raises Malformed, also for a prefix that occurs twice."""
    listed, standby_prepend = value["prefixes"], value["standby_prepend"]
    if not isinstance(listed, list) or len(listed) > OUTWARD_MAX:
        raise Malformed(f"outward: prefixes are not a list of at most {OUTWARD_MAX}")
    prefixes = sorted(_prefix(item) for item in listed)
    if len(set(prefixes)) != len(prefixes):
        raise Malformed("outward: a prefix occurs twice")
    if standby_prepend is not None and not 1 <= whole(standby_prepend, "outward.standby_prepend") <= PREPEND_MAX:
        raise Malformed(f"outward: standby_prepend is null or from 1 to {PREPEND_MAX}")
    return tuple(prefixes), standby_prepend


def encode_outward(outward: Outward) -> dict[str, Any]:
    """The `outward` member of a service in a status, and in the state file."""
    return {
        "epoch": outward.turn.epoch,
        "seq": outward.turn.seq,
        "prefixes": [str(prefix) for prefix in outward.prefixes],
        "standby_prepend": outward.standby_prepend,
    }


def encode_advertised(advertised: Advertised | None) -> dict[str, Any] | None:
    """The `advertised` member of a status."""
    if advertised is None:
        return None
    return {
        "epoch": advertised.turn.epoch,
        "seq": advertised.turn.seq,
        "advertisements": encode_advertisements(advertised.advertisements),
    }


def encode_advertisements(advertisements: Iterable[Advertisement]) -> list[dict[str, Any]]:
    """A list of advertisements, as in a status."""
    return [
        {"prefix": str(item.prefix), "next_hop": str(item.next_hop), "prepend": item.prepend} for item in advertisements
    ]


def encode_heartbeat_services(states: Mapping[str, ServiceState]) -> dict[str, Any]:
    """The `services` claim of a heartbeat."""
    return {name: {"epoch": state.turn.epoch, "role": state.role.value} for name, state in sorted(states.items())}


def decode_heartbeat_services(value: Any) -> dict[str, tuple[int, Role]]:
    """Epoch and role by service; raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed("services: not an object")
    found = {}
    for name, item in value.items():
        if not is_name(name) or not isinstance(item, dict):
            raise Malformed("services: not an object of named services")
        try:
            found[name] = (whole(item.get("epoch"), "services.epoch"), Role(str(item.get("role"))))
        except ValueError as error:
            raise Malformed("services.role: not a role") from error
    return found


def decode_epochs(value: Any) -> dict[str, int]:
    """Epoch by service, from one entry of the `heard` claim: those in the heartbeats of one peer. Raises Malformed."""
    if not isinstance(value, dict) or not all(is_name(name) for name in value):
        raise Malformed("heard: not an object of named services")
    return {name: whole(epoch, "heard.epoch") for name, epoch in value.items()}


def decode_echo(value: Any, agent: str) -> dict[str, int]:
    """From the claim `echo`, by boot of this agent, the counter of its last heartbeat that the sender received.

    Empty where the sender has received none, or speaks version 1 of the protocol. Raises Malformed.
    """
    if not isinstance(value, dict) or not isinstance(own := value.get(agent, {}), dict):
        raise Malformed("echo: not an object of objects")
    return {boot_id(boot, "echo"): whole(counter, "echo") for boot, counter in own.items()}


def decode_failing(value: Any) -> frozenset[str] | None:
    """The claim `failing`: names of checks, None where there is none (version 1). Raises Malformed."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(is_name(name) for name in value):
        raise Malformed("failing: not a list of names")
    return frozenset(value)


def decode_back_within(value: Any) -> float:
    """The claim `back_within`, in seconds; raises Malformed."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= NUMBER_MAX:
        raise Malformed("back_within: not a number of seconds")
    return float(value)


def is_name(value: Any) -> TypeGuard[str]:
    """Whether it can name a service, an agent or a topology: lower-case letters, digits and dashes, at most 63."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def boot_id(value: Any, where: str) -> str:
    """Return a boot id of 32 hex digits; raises Malformed."""
    if not isinstance(value, str) or not _BOOT_ID.fullmatch(value):
        raise Malformed(f"{where}: not 32 hex digits")
    return value


def whole(value: Any, where: str) -> int:
    """Return a whole number from 0 to 2^53 - 1; raises Malformed (also for true and 1.0)."""
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise Malformed(f"{where}: not a whole number from 0")
    return value


def _exactly(value: Mapping[str, Any], keys: set[str]) -> None:
    if value.keys() != keys:
        raise Malformed(f"command: needs exactly {', '.join(sorted(keys))}")


def _service(value: Mapping[str, Any]) -> str:
    name = value["service"]
    if not is_name(name):
        raise Malformed("command.service: not a name")
    return name


def turn(value: Mapping[str, Any], where: str) -> Turn:
    """Return the `epoch` and `seq` of an object; raises Malformed, and KeyError where one is missing."""
    epoch = whole(value["epoch"], f"{where}.epoch")
    if epoch > EPOCH_MAX:
        raise Malformed(f"{where}.epoch: above {EPOCH_MAX}")
    return Turn(epoch, whole(value["seq"], f"{where}.seq"))


def _prefix(value: Any) -> IPv4Network:
    if not isinstance(value, str) or "/" not in value:
        raise Malformed("outward: prefixes are texts")
    try:
        return IPv4Network(value)
    except ValueError as error:
        raise Malformed("outward: not an IPv4 prefix") from error


def _advertisement(value: Any) -> Advertisement:
    if not isinstance(value, dict) or value.keys() != {"prefix", "next_hop", "prepend"}:
        raise Malformed("advertisements: each needs exactly next_hop, prefix, prepend")
    if not isinstance(value["prefix"], str) or not isinstance(value["next_hop"], str) or "/" not in value["prefix"]:
        raise Malformed("advertisements: prefix and next_hop are texts")
    try:
        prefix, next_hop = IPv4Network(value["prefix"]), IPv4Address(value["next_hop"])
    except ValueError as error:
        raise Malformed("advertisements: not an IPv4 prefix and next hop") from error
    prepend = whole(value["prepend"], "advertisements.prepend")
    if prepend > PREPEND_MAX or next_hop.is_multicast or next_hop.is_unspecified:
        raise Malformed(f"advertisements: next hop is one host's, prepend at most {PREPEND_MAX}")
    return Advertisement(prefix, next_hop, prepend)
