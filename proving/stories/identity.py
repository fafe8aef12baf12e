"""Keys of the app and of the agents, made once a process: what a story proves does not depend on which they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hopkeeper_agent.enroll import certify
from hopkeeper_agent.jws import Signer, key_id


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent's key, and the certificate that a topology enrols."""

    signer: Signer
    certificate: str


@cache
def identity(name: str) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity(Signer(key, key_id(key.public_key())), certify(key, name).decode())


@cache
def _private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def app_key_pem() -> str:
    return _private().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Ring:
    """The app's public keys, as an agent has them."""

    def current(self) -> Mapping[str, ec.EllipticCurvePublicKey]:
        public = _private().public_key()
        return {key_id(public): public}
