"""Every kind of token that is not what it should be (safety.md section 8, cases)."""

import base64
import hashlib
import hmac
import json
import math
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from function_app.adapters.agents.jws import (
    AgentCertificate,
    AppKey,
    ClaimedSender,
    ExpectedClaims,
    claimed_sender,
    key_id,
)
from function_app.domain.base.errors import BadInput, NotAuthentic
from tests.unit.adapters.fake_agent import Identity, certificate_pem, private_pem, registered

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
EXPECTED = ExpectedClaims("hopkeeper-reply", issuer="nva-a", audience="hopkeeper", subject="hub", now=NOW)
AGENT = Identity("nva-a")
CERTIFICATE = AgentCertificate.from_pem(AGENT.certificate)


def claims(**changes: Any) -> dict[str, Any]:
    return registered(now=NOW.timestamp(), **changes)


def segments(header: object, payload: object, signature: bytes = b"x" * 64) -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_signed_token_gives_its_claims() -> None:
    token = AGENT.sign(claims(extra={"deep": [1]}))

    assert CERTIFICATE.verify(token, EXPECTED)["extra"] == {"deep": [1]}


def test_app_signs_what_its_public_key_verifies() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = AppKey.from_pem(private_pem(private))

    token = key.sign("hopkeeper-command", {"iss": "hopkeeper", "iat": 1.5})

    decoded = jwt.PyJWS().decode_complete(token, private.public_key(), algorithms=["ES256"])
    assert decoded["header"] == {"alg": "ES256", "kid": key.kid, "typ": "hopkeeper-command"}
    assert json.loads(decoded["payload"]) == {"iss": "hopkeeper", "iat": 1.5}
    assert key.public_pem.startswith("-----BEGIN PUBLIC KEY-----\n")


def test_key_id_is_the_start_of_the_digest_of_the_public_key() -> None:
    public = AGENT.key.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert key_id(public) == hashlib.sha256(der).hexdigest()[:16] == CERTIFICATE.kid


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"iss": "nva-b"}, "wrong iss"),
        ({"aud": "nva-a"}, "wrong aud"),
        ({"aud": ["hopkeeper"]}, "missing or malformed"),
        ({"sub": "another"}, "wrong sub"),
        ({"exp": NOW.timestamp() - 5}, "expired"),
        ({"iat": NOW.timestamp() + 6}, "in the future"),
        ({"exp": NOW.timestamp() + 3600}, "longer than allowed"),
        ({"exp": "soon"}, "missing or malformed"),
        ({"exp": True}, "missing or malformed"),
        ({"exp": None}, "missing or malformed"),
        ({"iat": -1}, "missing or malformed"),
        ({"exp": math.nan}, "missing or malformed"),
        ({"exp": math.inf}, "missing or malformed"),
        ({"jti": ""}, "missing or malformed"),
    ],
)
def test_claims_that_are_not_as_expected_are_not_authentic(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(NotAuthentic, match=rule):
        CERTIFICATE.verify(AGENT.sign(claims(**changes)), EXPECTED)


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "iat", "exp", "jti"])
def test_registered_claims_are_required(name: str) -> None:
    without = {key: value for key, value in claims().items() if key != name}

    with pytest.raises(NotAuthentic, match="missing or malformed"):
        CERTIFICATE.verify(AGENT.sign(without), EXPECTED)


@pytest.mark.parametrize("skew", [timedelta(seconds=-34.9), timedelta(seconds=4.9)])
def test_clocks_may_differ_a_little(skew: timedelta) -> None:
    token = AGENT.sign(registered(now=(NOW + skew).timestamp()))

    assert CERTIFICATE.verify(token, EXPECTED)["iss"] == "nva-a"


def test_time_is_not_judged_where_something_else_proves_freshness() -> None:
    untimed = ExpectedClaims("hopkeeper-reply", issuer="nva-a", audience="hopkeeper", subject="hub", now=None)
    token = AGENT.sign(registered(now=0.0))

    assert CERTIFICATE.verify(token, untimed)["iat"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"typ": "hopkeeper-report"},
        {"typ": None},
        {"kid": "0" * 16},
        {"jku": "https://example.org/keys"},
        {"crit": ["exp"], "exp": 1},
        {"x5c": ["MII"]},
    ],
)
def test_header_holds_type_algorithm_and_key_id_and_nothing_else(headers: dict[str, Any]) -> None:
    token = AGENT.sign(claims(), **headers)

    with pytest.raises(NotAuthentic):
        CERTIFICATE.verify(token, EXPECTED)


def test_another_key_is_not_authentic_even_under_this_ones_id() -> None:
    token = Identity("nva-a").sign(claims(), kid=CERTIFICATE.kid)

    with pytest.raises(NotAuthentic, match="signature"):
        CERTIFICATE.verify(token, EXPECTED)


def test_changed_payload_is_not_authentic() -> None:
    header, _, signature = AGENT.sign(claims()).split(".")
    _, payload, _ = AGENT.sign(claims(jti="another")).split(".")

    with pytest.raises(NotAuthentic, match="signature"):
        CERTIFICATE.verify(f"{header}.{payload}.{signature}", EXPECTED)


def test_hs256_with_the_public_key_as_secret_is_not_authentic() -> None:
    public = AGENT.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "hopkeeper-reply", "kid": CERTIFICATE.kid}
    signed = segments(header, claims()).rsplit(".", 1)[0]
    mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()

    with pytest.raises(NotAuthentic, match="signature"):
        CERTIFICATE.verify(f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}", EXPECTED)


@pytest.mark.parametrize("algorithm", ["none", "None", "ES384", "ES256K", ""])
def test_other_algorithms_are_not_authentic(algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "hopkeeper-reply", "kid": CERTIFICATE.kid}

    with pytest.raises(NotAuthentic, match="signature"):
        CERTIFICATE.verify(segments(header, claims()), EXPECTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "x" * 70_000,
        "[" * 30_000,
        segments([], []),
        segments({"alg": {}}, {}),
        "\udc80",
    ],
)
def test_what_is_no_token_is_refused_without_a_crash(text: str) -> None:
    with pytest.raises(NotAuthentic):
        CERTIFICATE.verify(text, EXPECTED)
    with pytest.raises(BadInput):
        claimed_sender(text)


def test_errors_never_hold_the_tokens_content() -> None:
    secret = "hunter2"
    token = AGENT.sign(claims(iss=secret, exp=secret, jti=secret))

    with pytest.raises(NotAuthentic) as raised:
        CERTIFICATE.verify(token, EXPECTED)

    assert secret not in str(raised.value)


def test_deeply_nested_claims_are_refused_without_a_crash() -> None:
    header = {"typ": "hopkeeper-reply", "kid": CERTIFICATE.kid}
    token = jwt.PyJWS().encode(b"[" * 20_000, AGENT.key, algorithm="ES256", headers=header)

    with pytest.raises(NotAuthentic, match="malformed"):
        CERTIFICATE.verify(token, EXPECTED)


def test_sender_is_read_before_anything_is_verified() -> None:
    assert claimed_sender(segments({"alg": "none"}, claims(iss="nva-z", sub="elsewhere"))) == ClaimedSender(
        "nva-z", "elsewhere"
    )


def test_only_p256_keys_are_taken() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rsa_key = rsa.generate_private_key(65537, 2048)

    for pem in (private_pem(p384), private_pem(rsa_key), AGENT.certificate, "no key", ""):  # type: ignore[arg-type]
        with pytest.raises(BadInput):
            AppKey.from_pem(pem)
    for pem in (certificate_pem(p384, "nva-a"), certificate_pem(rsa_key, "nva-a"), "no certificate", ""):
        with pytest.raises(BadInput):
            AgentCertificate.from_pem(pem)


def test_one_certificate_is_enrolled_not_several() -> None:
    with pytest.raises(BadInput, match="holds 2 certificates"):
        AgentCertificate.from_pem(AGENT.certificate + Identity("nva-b").certificate)
