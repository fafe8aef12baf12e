"""Makes an agent's key and the self-signed certificate over it, which the topology and the peers enrol.

The certificate is both the TLS trust anchor of the command endpoint and the public key of the agent's signatures. It does
not expire: enrolling another one replaces it.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hopkeeper_agent.jws import BadKey, Signer, certificate_key

KEY = "agent.key"
CERTIFICATE = "agent.crt"
VALID_FROM = datetime(2000, 1, 1, tzinfo=timezone.utc)
VALID_TO = datetime(2100, 1, 1, tzinfo=timezone.utc)


def enroll(directory: Path, name: str) -> str:
    """Return the certificate (PEM) of the key in `directory`; what is missing is made, nothing is overwritten.

    Raises OSError, BadKey for a key file without an EC P-256 key, ValueError if the certificate is for another name.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(directory / KEY)
    path = directory / CERTIFICATE
    if not path.exists():
        _create(path, certify(key, name), 0o644)
    pem = path.read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    # By their numbers: keys themselves do not compare before cryptography 40, and Debian 12 has 38.
    if certificate_key(pem).public_numbers() != key.public_key().public_numbers():
        raise BadKey(f"{path}: not over the key in the same directory")
    if certificate.subject != _subject(name):
        raise ValueError(f"{path}: not for {name}")
    return pem.decode()


def certify(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a self-signed certificate in PEM."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(_subject(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return Signer.from_pem(path.read_bytes()).key


def _create(path: Path, content: bytes, mode: int) -> None:
    # O_EXCL: a key is never overwritten.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
