"""Which reports are believed: signed by the one who is enrolled under the name they bear, just now, for us."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from function_app.adapters.agents.http import verify_report
from function_app.adapters.agents.jws import AgentCertificate
from function_app.domain.base.errors import BadInput, NotAuthentic
from tests.unit.adapters.fake_agent import Identity, registered, status_object

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
A, B = Identity("nva-a"), Identity("nva-b")
ENROLLED = {("hub", identity.name): AgentCertificate.from_pem(identity.certificate) for identity in (A, B)}


def certificate_of(topology: str, speaker: str) -> AgentCertificate | None:
    return ENROLLED.get((topology, speaker))


def report(signer: Identity = A, typ: str = "hopkeeper-report", **changes: Any) -> str:
    claims = registered(now=NOW.timestamp()) | {"reason": "fatal: data-path", "status": status_object()}
    return signer.sign(claims | changes, typ=typ)


def test_report_tells_who_why_and_how_it_is() -> None:
    believed = verify_report(report(reason="fatal:\nforged line"), certificate_of, NOW)

    assert (believed.topology, believed.agent, believed.reason) == ("hub", "nva-a", "fatal: forged line")
    assert believed.status.services["fw"].epoch == 3


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (report(iss="nva-z"), "no certificate is enrolled"),
        (report(sub="elsewhere"), "no certificate is enrolled"),
        (report(iss="nva-b"), "signature"),
        (report(signer=B), "signature"),
        (report(signer=Identity("nva-a")), "signature"),
        (report(typ="hopkeeper-reply"), "wrong header"),
        (report(typ="hopkeeper-heartbeat"), "wrong header"),
        (report(aud="nva-b"), "wrong aud"),
        (report(**registered(now=NOW.timestamp() - 35)), "expired"),
        (report(**registered(now=NOW.timestamp() + 60)), "in the future"),
    ],
)
def test_report_that_nobody_enrolled_signed_for_us_now_is_not_authentic(text: str, rule: str) -> None:
    with pytest.raises(NotAuthentic, match=rule):
        verify_report(text, certificate_of, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        json.dumps({"status": status_object()}),
        "x" * 70_000,
        report(reason=None),
        report(status=None),
        report(status=status_object("nva-b")),
        report(status=status_object(topology="elsewhere")),
        report(iss=5),
        report(iss="x" * 200),
    ],
)
def test_what_is_no_report_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        verify_report(text, certificate_of, NOW)


def test_clocks_may_differ_by_five_seconds() -> None:
    text = report(**registered(now=NOW.timestamp()))

    assert verify_report(text, certificate_of, NOW + timedelta(seconds=34.9)).agent == "nva-a"
    assert verify_report(text, certificate_of, NOW - timedelta(seconds=4.9)).agent == "nva-a"
