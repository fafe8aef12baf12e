"""The keys of a Function App in the lab: each party is given the one that it has in Azure, and no party a wider one.

    an agent           the key of on_report              a file on the NVA, shown as x-functions-key
    the action group   the key of on_alert               in its URL
    Event Grid         the system key of the extension   in its URL
    an operator        those of order, reconcile, status shown as x-functions-key
    an administrator   the master key                    for the platform's own API under /admin

The host's own key, which opens every function, is in the host's file and nowhere else.
"""

import json
import secrets
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

FUNCTIONS = {
    "reports": "on_report",
    "alerts": "on_alert",
    "topologies": "order",
    "reconcile": "reconcile",
    "status": "status",
}
"""Which function serves what begins with this under /api."""


def made(directory: Path) -> dict[str, Any]:
    """Makes every key and writes where its holder looks for it; gives the access keys of those who call the app.

    In `directory`: `keys.json` is the host's, `report.key` the agents', `app.key` signs commands, `app-keys.pem` verifies
    them. Shape of what is given: {"master": KEY, "perFunction": {FUNCTION: {"default": KEY}}, "system": {NAME: KEY}}.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (directory / "app.key").write_bytes(private)
    (directory / "app-keys.pem").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, spki))
    held: dict[str, Any] = {
        "master": _key(),
        "perFunction": {function: {"default": _key()} for function in FUNCTIONS.values()},
        "system": {"eventgrid_extension": _key()},
    }
    (directory / "keys.json").write_text(json.dumps(held | {"functions": {"default": _key()}}))
    (directory / "report.key").write_text(of_function(held, "on_report"))
    return held


def of_function(held: dict[str, Any], function: str) -> str:
    found: str = held["perFunction"][function]["default"]
    return found


def of_path(held: dict[str, Any], path: str) -> str:
    """The key of the function that serves this path under /api. Raises KeyError for one that none serves."""
    return of_function(held, FUNCTIONS[path.strip("/").partition("/")[0].partition("?")[0]])


def _key() -> str:
    return secrets.token_urlsafe(24)
