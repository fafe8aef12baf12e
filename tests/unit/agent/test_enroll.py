"""Keys are made once, and the certificate is a trust anchor by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from hopkeeper_agent.enroll import enroll
from hopkeeper_agent.jws import Signer, certificate_key
from hopkeeper_agent.main import main


def test_a_key_is_private_and_the_certificate_is_over_it(tmp_path: Path) -> None:
    pem = enroll(tmp_path, "nva-a")
    key = tmp_path / "agent.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert certificate_key(pem.encode()) == Signer.from_pem(key.read_bytes()).key.public_key()
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=nva-a"
    assert certificate.not_valid_before_utc == datetime(2000, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(2100, 1, 1, tzinfo=UTC)


def test_enrolling_again_overwrites_nothing_and_gives_the_same_certificate(tmp_path: Path) -> None:
    first = enroll(tmp_path, "nva-a")
    assert enroll(tmp_path, "nva-a") == first
    key = (tmp_path / "agent.key").read_bytes()
    (tmp_path / "agent.crt").unlink()
    enroll(tmp_path, "nva-a")
    assert (tmp_path / "agent.key").read_bytes() == key


def test_a_certificate_of_another_name_or_key_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enroll(tmp_path, "nva-a")
    assert main(["enroll", str(tmp_path), "--name", "nva-b"]) == 1
    assert "not for nva-b" in capsys.readouterr().err
    (tmp_path / "agent.key").unlink()
    assert main(["enroll", str(tmp_path), "--name", "nva-a"]) == 1
    assert "not over the key" in capsys.readouterr().err


def test_the_command_line_prints_the_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enroll", str(tmp_path / "new"), "--name", "nva-a"]) == 0
    assert capsys.readouterr().out == (tmp_path / "new" / "agent.crt").read_text()
