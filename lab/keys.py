"""The keys of a Function App in the lab: each party is given the one that it has in Azure, and no party a wider one.

    an agent           the key of on_report              a file on the NVA, shown as x-functions-key
    the action group   the key of on_alert               in its URL
    Event Grid         the system key of the extension   in its URL
    an operator        one for all that is read, or    shown as x-functions-key
                       one for orders and changes too
    an administrator   the master key                    for the platform's own API under /admin

The host's own key, which opens every function, is in the host's file and nowhere else.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

READ, OPERATE = "read", "operate"
"""Names of a key that several functions have, with the same value: of all that is read; of all that an operator calls."""

FUNCTIONS = (
    ("POST", "reports", "on_report"),
    ("POST", "alerts", "on_alert"),
    ("POST", "reconcile", "reconcile"),
    ("GET", "status", "status"),
    ("GET", "topologies/[^/]+/services/[^/]+/history", "history"),
    ("GET", "topologies/[^/]+/services/[^/]+/explain", "explain"),
    ("POST", "topologies/[^/]+/services", "order"),
    ("PUT", "topologies/[^/]+", "apply"),
    ("DELETE", "topologies/[^/]+", "remove"),
    ("POST", "topologies/[^/]+/diff", "diff"),
    ("POST", "plan", "plan_document"),
    ("POST", "lint", "lint_document"),
    ("GET", "openapi.json", "openapi"),
    ("GET", "topologies/[^/]+/events", "events"),
    ("GET", "topologies/[^/]+/plan", "plan"),
    ("GET", "topologies/[^/]+/verify", "verify"),
    ("GET", "topologies/[^/]+/lint", "lint"),
    ("GET", "topologies/[^/]+", "topology"),
    ("GET", "topologies", "topologies"),
)
"""Which function serves a method of what begins with this under /api: the first that fits."""
READING = frozenset(
    {"status", "topologies", "topology", "history", "explain", "plan", "verify", "lint", "events", "openapi"}
) | {
    "diff",
    "plan_document",
    "lint_document",
}
OPERATING = READING | {"order", "reconcile", "apply", "remove"}


def made(directory: Path) -> dict[str, Any]:
    """Makes every key and writes where its holder looks for it; gives the access keys of those who call the app.

    In `directory`: `keys.json` is the host's, `report.key` the agents', `app.key` signs commands, `app-keys.pem` verifies
    them. Shape of what is given: {"master": KEY, "perFunction": {FUNCTION: {NAME: KEY}}, "system": {NAME: KEY}}; NAME is
    "default", `READ` or `OPERATE`.
    """
    private, public = signing_pair()
    (directory / "app.key").write_bytes(private)
    (directory / "app-keys.pem").write_bytes(public)
    held: dict[str, Any] = {
        "master": _key(),
        "perFunction": {function: {"default": _key()} for _, _, function in FUNCTIONS},
        "system": {"eventgrid_extension": _key()},
    }
    for name, functions in ((READ, READING), (OPERATE, OPERATING)):
        shared = _key()
        for function in functions:
            held["perFunction"][function][name] = shared
    (directory / "keys.json").write_text(json.dumps(held | {"functions": {"default": _key()}}))
    (directory / "report.key").write_text(of_function(held, "on_report"))
    return held


def signing_pair() -> tuple[bytes, bytes]:
    """A key of the app's: the private half, and the public one that agents know it by (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return private, key.public_key().public_bytes(pem, spki)


def of_function(held: dict[str, Any], function: str) -> str:
    found: str = held["perFunction"][function]["default"]
    return found


def of_path(held: dict[str, Any], method: str, path: str) -> str:
    """The key of the function that serves this under /api. Raises KeyError for what none serves."""
    bare = path.strip("/").partition("?")[0]
    for served, begins, function in FUNCTIONS:
        if served == method and re.match(rf"{begins}(?:/|$)", bare):
            return of_function(held, function)
    raise KeyError(f"{method} {path}")


def of_role(held: dict[str, Any], role: str) -> str:
    """`READ` or `OPERATE`: the key that all its functions have."""
    found: str = held["perFunction"]["status"][role]
    return found


def _key() -> str:
    return secrets.token_urlsafe(24)
