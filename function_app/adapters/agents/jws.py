"""Compact JWS with ES256 and nothing else: the app's signing key, and the enrolled certificates of the agents.

Parsed keys are cached: parsing PEM costs more than signing. What a message contains is `messages`.

Claims are checked here and not by PyJWT's `decode`: that compares `exp` and `iat` with the machine's clock, and every time
in Hopkeeper comes from the port `Clock`. It also truncates fractions of a second, and has no limit on a token's lifetime.
"""

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

import jwt
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from function_app.domain.base.errors import BadInput, NotAuthentic
from function_app.domain.base.timing import CLOCK_LEEWAY

ALGORITHM = "ES256"
SIZE_MAX = 64 * 1024
"""Characters of a token (safety.md section 8)."""
LIFETIME = timedelta(seconds=30)
TOKENS_MAX = 4096
"""Verified tokens of our own that are kept."""
CERTIFICATES_MAX = 1024
"""Parsed certificates that are kept."""

_JWS = jwt.PyJWS(algorithms=[ALGORITHM])
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**53)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


@dataclass(frozen=True, slots=True)
class ExpectedClaims:
    """What a token must be to be accepted: its type, and the claims iss, aud and sub.

    `now` is compared with exp and iat; None where something else proves that the token is fresh.
    """

    typ: str
    issuer: str
    audience: str
    subject: str
    now: datetime | None


class _Registered(msgspec.Struct, frozen=True):
    """The registered claims (RFC 7519, section 4.1) that every message carries. Times are seconds since 1970."""

    iss: _Text
    aud: _Text
    sub: _Text
    iat: _Seconds
    exp: _Seconds
    jti: _Text


def key_id(key: EllipticCurvePublicKey) -> str:
    """First 16 hex digits of the SHA-256 over the key's DER SubjectPublicKeyInfo."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


class AppKey:
    """The app's private key. Agents hold the public half in their ring."""

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self._private = private
        self._signed: dict[tuple[str, str], bytes] = {}
        self.kid = key_id(private.public_key())
        self.public_pem = (
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
        )

    @classmethod
    def from_pem(cls, pem: str) -> "AppKey":
        """Raises BadInput for anything but an unencrypted EC P-256 private key in PEM."""
        try:
            private = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise BadInput.of("signing key", "is not a PEM private key without a password") from error
        if not isinstance(private, EllipticCurvePrivateKey) or not isinstance(private.curve, SECP256R1):
            raise BadInput.of("signing key", "is not an EC P-256 key")
        return cls(private)

    def sign(self, typ: str, claims: Mapping[str, object]) -> str:
        """The compact JWS over the claims as JSON."""
        headers = {"kid": self.kid, "typ": typ}
        return _JWS.encode(msgspec.json.encode(claims), self._private, algorithm=ALGORITHM, headers=headers)

    def signed(self, token: str, typ: str) -> bytes:
        """The claims, as JSON, of a token that this key signed, whenever that was. Raises NotAuthentic.

        Agents show the same few tokens at every look: those verified are kept.
        """
        if (token, typ) not in self._signed:
            if len(self._signed) >= TOKENS_MAX:
                self._signed.clear()
            self._signed[token, typ] = _payload(token, self._private.public_key(), typ, self.kid)
        return self._signed[token, typ]


def _payload(token: str, key: EllipticCurvePublicKey, typ: str, kid: str) -> bytes:
    """The payload of a token of this type that the key of this id signed. Raises NotAuthentic."""
    try:
        decoded = _JWS.decode_complete(token, key, algorithms=[ALGORITHM])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NotAuthentic("the signature does not hold") from error
    # Exactly these three: no `crit`, and no key or address of a key that the token brings along.
    if decoded["header"] != {"alg": ALGORITHM, "typ": typ, "kid": kid}:
        raise NotAuthentic("wrong header: type, key id, or more than these")
    return bytes(decoded["payload"])


class AgentCertificate:
    """An enrolled certificate: it verifies the agent's signatures, and is the only trust anchor of its TLS endpoint."""

    def __init__(self, certificate: x509.Certificate, key: EllipticCurvePublicKey) -> None:
        self._key = key
        self.kid = key_id(key)
        self.tls = _trust_only(certificate)

    @classmethod
    def from_pem(cls, pem: str) -> "AgentCertificate":
        """Raises BadInput for anything but one certificate over an EC P-256 key in PEM."""
        try:
            certificates = x509.load_pem_x509_certificates(pem.encode())
            key = certificates[0].public_key()
        except ValueError as error:
            raise BadInput.of("certificate", "is not a PEM certificate") from error
        if len(certificates) != 1:
            raise BadInput.of("certificate", f"holds {len(certificates)} certificates, an agent is enrolled with one")
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise BadInput.of("certificate", "is not over an EC P-256 key")
        return cls(certificates[0], key)

    def verify(self, token: str, expected: ExpectedClaims, size_max: int = SIZE_MAX) -> Mapping[str, Any]:
        """All claims of a token that this certificate's key signed and that is as expected.

        Raises NotAuthentic, which names the rule and nothing of the token's content.
        """
        if len(token) > size_max or not token.isascii():
            raise NotAuthentic(f"not a token of at most {size_max // 1024} KiB")
        payload = _payload(token, self._key, expected.typ, self.kid)
        try:
            claims = msgspec.json.decode(payload, type=dict[str, Any])
            _check(msgspec.convert(claims, _Registered), expected)
            return claims
        except _MALFORMED as error:
            raise NotAuthentic("claims are missing or malformed") from error


@lru_cache(maxsize=CERTIFICATES_MAX)
def enrolled(pem: str) -> AgentCertificate:
    """The certificate that a topology enrols for an agent, parsed once for commands and reports. Raises BadInput."""
    return AgentCertificate.from_pem(pem)


@dataclass(frozen=True, slots=True)
class ClaimedSender:
    """Who a token claims to be from (`iss`) and which topology it is about (`sub`), not verified."""

    agent: str
    topology: str


def claimed_sender(token: str) -> ClaimedSender:
    """What an unverified token claims: only good for choosing the key to verify it with.

    Raises BadInput for what is not a compact JWS of at most SIZE_MAX.
    """
    if len(token) > SIZE_MAX or not token.isascii():
        raise BadInput.of("token", f"is not a compact JWS of at most {SIZE_MAX // 1024} KiB")
    try:
        unverified = _JWS.decode_complete(token, options={"verify_signature": False})
        claims = msgspec.json.decode(unverified["payload"], type=_Registered)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise BadInput.of("token", "is not a compact JWS") from error
    except _MALFORMED as error:
        raise BadInput.of("token", f"claims are missing or malformed ({error})") from error
    return ClaimedSender(claims.iss, claims.sub)


def _check(claims: _Registered, expected: ExpectedClaims) -> None:
    wanted = {"iss": expected.issuer, "aud": expected.audience, "sub": expected.subject}
    for name, value in wanted.items():
        if getattr(claims, name) != value:
            raise NotAuthentic(f"wrong {name}")
    if expected.now is None:
        return
    now = expected.now.timestamp()
    if now >= claims.exp + CLOCK_LEEWAY.total_seconds():
        raise NotAuthentic("expired")
    if claims.iat > now + CLOCK_LEEWAY.total_seconds() or claims.exp > claims.iat + LIFETIME.total_seconds() + 1:
        # An agent whose clock runs ahead would sign messages that can be replayed later.
        raise NotAuthentic("issued in the future, or for longer than allowed")


def _trust_only(certificate: x509.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # an agent is identified by its certificate; its address may change
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is the anchor, not its issuer
    context.load_verify_locations(cadata=certificate.public_bytes(Encoding.DER))
    return context
