"""Which tokens are believed: every forgery of a command is refused by a rule that says no more than its name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hopkeeper_agent.commands import Authentic, authenticate
from hopkeeper_agent.identity import Identity
from hopkeeper_agent.jws import AppKeys, BadKey, Signer, Unauthentic, key_id, parse_object
from hopkeeper_agent.logs import JsonLines
from hopkeeper_agent.messages import Malformed, decode_command
from hopkeeper_agent.role import Fence, Status
from hopkeeper_agent.warrants import WARRANT_MAX_BYTES

from tests.unit.agent.stage import (
    COMMAND_TYPE,
    TOPOLOGY,
    advertise,
    claims,
    fence,
    new_signer,
    outward,
    promote,
    public_pem,
)

APP = new_signer()
STRANGER = new_signer()
KEYS = {APP.kid: APP.key.public_key()}
US = Identity("nva-a", TOPOLOGY)
STATUS = {"kind": "status"}


def judge(token: str) -> Authentic:
    return authenticate(token.encode(), KEYS, US)


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(claims(STATUS))}."


def hmac_with_public_key() -> str:
    head = encoded({"alg": "HS256", "kid": APP.kid, "typ": COMMAND_TYPE})
    signed = f"{head}.{encoded(claims(STATUS))}"
    digest = hmac.new(public_pem(APP).encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def posing_as_app() -> str:
    return Signer(STRANGER.key, APP.kid).sign(COMMAND_TYPE, claims(STATUS))


def spliced() -> str:
    head, _, signature = APP.sign(COMMAND_TYPE, claims(STATUS)).split(".")
    return f"{head}.{encoded(claims(promote(9, 'a' * 32)))}.{signature}"


FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned({"alg": "none", "kid": APP.kid, "typ": COMMAND_TYPE}),
    "alg None in capitals": lambda: unsigned({"alg": "None", "kid": APP.kid, "typ": COMMAND_TYPE}),
    "no signature": lambda: unsigned({"alg": "ES256", "kid": APP.kid, "typ": COMMAND_TYPE}),
    "HS256 with the public key": hmac_with_public_key,
    "another key": lambda: STRANGER.sign(COMMAND_TYPE, claims(STATUS)),
    "another key under the app's id": posing_as_app,
    "another payload under the signature": spliced,
    "truncated": lambda: APP.sign(COMMAND_TYPE, claims(STATUS))[:-8],
    "another type": lambda: APP.sign("hopkeeper-report", claims(STATUS)),
    "wrong audience": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, "nva-b")),
    "several audiences": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, aud=["nva-a", "nva-b"])),
    "wrong issuer": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, iss="somebody")),
    "wrong topology": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, sub="other")),
    "expiry that is not a number": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, exp=float("nan"))),
    "endless expiry": lambda: APP.sign(COMMAND_TYPE, claims(STATUS, exp=float("inf"))),
    "empty": lambda: "",
    "not a token": lambda: "{}",
    "a line break": lambda: "a.b.c\nINFO forged",
    "nested deeply": lambda: f"{encoded({'alg': 'ES256'})}.{'[' * 60000}.x",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_command_is_not_believed(forge: Callable[[], str]) -> None:
    with pytest.raises(Unauthentic):
        judge(forge())


def test_a_genuine_command_is_believed() -> None:
    assert judge(APP.sign(COMMAND_TYPE, claims(STATUS, jti="x"))) == Authentic("x", Status())


@pytest.mark.parametrize("skew_seconds", [-(10**6), 10**6])
@pytest.mark.parametrize("command", [STATUS, fence(6), promote(6, "a" * 32), advertise(6, []), outward(6, [])])
def test_a_command_is_believed_whatever_the_clocks_say(skew_seconds: float, command: dict[str, Any]) -> None:
    """What is old has no effect by its epoch, its number and the boot it names."""
    issued = time.time() + skew_seconds
    order = judge(APP.sign(COMMAND_TYPE, claims(command, iat=issued, exp=issued + 30)))
    assert order.command == decode_command(command)


@pytest.mark.parametrize(("padding", "is_kept"), [(0, True), (WARRANT_MAX_BYTES, False)])
def test_a_role_command_comes_with_its_token_which_proves_its_epoch_unless_no_datagram_holds_it(
    padding: int, is_kept: bool
) -> None:
    token = APP.sign(COMMAND_TYPE, claims(fence(6), padding="x" * padding))
    command = judge(token).command
    assert isinstance(command, Fence)
    assert command.warrant == (token if is_kept else "")


MALFORMED: dict[str, dict[str, Any]] = {
    "no command": {"command": None},
    "unknown kind": {"command": {"kind": "reboot"}},
    "unknown key": {"command": {**fence(6), "force": True}},
    "missing key": {"command": {"kind": "fence", "service": "s", "epoch": 1}},
    "epoch as text": {"command": {**fence(6), "epoch": "6"}},
    "epoch as a fraction": {"command": {**fence(6), "epoch": 6.5}},
    "epoch as truth": {"command": {**fence(6), "epoch": True}},
    "epoch beyond the highest": {"command": fence(2**53 - 2**32 + 1)},
    "negative seq": {"command": {**fence(6), "seq": -1}},
    "service with a line break": {"command": fence(6, service="s\nINFO forged")},
    "service with a path": {"command": fence(6, service="../etc")},
    "jti as a number": {"jti": 5},
}


@pytest.mark.parametrize("override", MALFORMED.values(), ids=MALFORMED.keys())
def test_an_authentic_command_of_the_wrong_shape_is_malformed(override: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        judge(APP.sign(COMMAND_TYPE, {**claims(STATUS), **override}))


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', "[]", "1", "{", "", "\xff"])
def test_json_is_read_strictly(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json words its own messages
        parse_object(text.encode("latin-1"))


def test_keys_rotate_without_a_restart_and_a_retired_one_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "app.pub"
    path.write_text(public_pem(APP) + public_pem(STRANGER))
    ring = AppKeys(path)
    assert set(ring.current()) == {APP.kid, STRANGER.kid}
    path.write_text(public_pem(STRANGER))
    os.utime(path, ns=(1, 1))
    assert set(ring.current()) == {STRANGER.kid}


@pytest.mark.parametrize("content", ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_broken_key_file_keeps_the_last_good_ring(tmp_path: Path, content: str) -> None:
    path = tmp_path / "app.pub"
    path.write_text(public_pem(APP))
    ring = AppKeys(path)
    path.write_text(content)
    assert set(ring.current()) == {APP.kid}
    path.unlink()
    assert set(ring.current()) == {APP.kid}
    with pytest.raises(FileNotFoundError):
        AppKeys(path)


def test_an_agent_does_not_start_with_an_empty_ring(tmp_path: Path) -> None:
    path = tmp_path / "app.pub"
    path.write_text("")
    with pytest.raises(BadKey):
        AppKeys(path)


def test_a_key_id_is_the_start_of_the_hash_of_the_public_key() -> None:
    der = base64.b64decode("".join(public_pem(APP).splitlines()[1:-1]))
    assert key_id(APP.key.public_key()) == hashlib.sha256(der).hexdigest()[:16]


def test_a_log_line_is_one_line_whatever_a_field_holds() -> None:
    record = logging.makeLogRecord({"msg": "command malformed", "rule": 'x\n{"level": "INFO"}\r\x1b[31m'})
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["rule"] == 'x\n{"level": "INFO"}\r\x1b[31m'
