"""Compact JWS (RFC 7515) with ES256 alone: sign, verify, and the ring of the app's public keys.

Key objects are made once, as parsing PEM costs more than signing. What claims mean is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

log = logging.getLogger(__name__)

ALGORITHM = "ES256"
_JWS = jwt.PyJWS(algorithms=[ALGORITHM])
_PUBLIC_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class Unauthentic(Exception):
    """A token that is not from its issuer, or not for this agent. The message names the rule, never the token's content."""


class BadKey(ValueError):
    """A key file that holds something other than EC P-256 keys in PEM."""


def key_id(key: EllipticCurvePublicKey) -> str:
    """First 16 hex digits of the SHA-256 over the key's DER SubjectPublicKeyInfo."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs claims with one private key."""

    key: EllipticCurvePrivateKey
    kid: str

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """Raises BadKey for anything but an unencrypted EC P-256 private key."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise BadKey("not a PEM private key without a password") from error
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise BadKey("not an EC P-256 private key")
        return cls(key, key_id(key.public_key()))

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """Return the compact JWS over the claims as JSON."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        return _JWS.encode(payload, self.key, algorithm=ALGORITHM, headers={"kid": self.kid, "typ": typ})


def verify(token: str | bytes, typ: str, keys: Mapping[str, EllipticCurvePublicKey]) -> dict[str, Any]:
    """Return the claims of a token signed by one of `keys` (by kid) and of type `typ`; raises Unauthentic."""
    kid = peek_kid(token)
    key = keys.get(kid)
    if key is None:
        raise Unauthentic("unknown key")
    try:
        decoded = _JWS.decode_complete(token, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError as error:
        raise Unauthentic("bad signature") from error
    if decoded["header"].get("typ") != typ or decoded["header"].get("crit") is not None:
        raise Unauthentic("wrong type")
    try:
        return parse_object(decoded["payload"])
    except ValueError as error:
        raise Unauthentic("claims are not one JSON object") from error


def peek_kid(token: str | bytes) -> str:
    """Return the key id of a token not verified yet, so that unknown keys cost nothing. Raises Unauthentic."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, UnicodeError, RecursionError) as error:
        raise Unauthentic("not a compact JWS") from error
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise Unauthentic("not an ES256 token with a key id")
    return kid


def parse_object(payload: bytes) -> dict[str, Any]:
    """Read strict JSON: one object, no duplicate keys, no NaN or Infinity. Raises ValueError."""
    try:
        value = json.loads(payload, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def certificate_key(pem: bytes) -> EllipticCurvePublicKey:
    """The EC P-256 public key of the certificate in a PEM file; raises BadKey."""
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except ValueError as error:
        raise BadKey("not a PEM certificate") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise BadKey("the certificate's key is not EC P-256")
    return key


class Ring(Protocol):
    """The app's public keys."""

    def current(self) -> Mapping[str, EllipticCurvePublicKey]:
        """By key id, as the file has them now."""


class AppKeys:
    """The app's public keys, read again when the file changes, so that keys rotate without a restart.

    If the file cannot be read or parsed the last good keys stay: a typing error must not keep FENCE from being accepted.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError or BadKey: an agent does not start with a ring it cannot read."""
        self._path = path
        self._stamp = self._read_stamp()
        self._keys = self._load()

    def current(self) -> Mapping[str, EllipticCurvePublicKey]:
        """Public keys by kid, as the file stands now."""
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._keys, self._stamp = self._load(), stamp
                log.info("app keys read again", extra={"kids": sorted(self._keys), "why": "the file has changed"})
        except (OSError, BadKey) as error:
            log.warning("app keys cannot be read: the last good ones stay in use", extra={"why": str(error)})
        return self._keys

    def _read_stamp(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _load(self) -> dict[str, EllipticCurvePublicKey]:
        keys = {}
        for block in _PUBLIC_BLOCK.findall(self._path.read_bytes()):
            try:
                key = load_pem_public_key(block)
            except ValueError as error:
                raise BadKey(f"{self._path}: not a PEM public key") from error
            if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
                raise BadKey(f"{self._path}: not an EC P-256 public key")
            keys[key_id(key)] = key
        if not keys:
            raise BadKey(f"{self._path}: no public key in it")
        return keys


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
