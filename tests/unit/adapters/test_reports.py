"""Which reports are believed: signed by the one who is enrolled under the name they bear, just now, for us."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from function_app.adapters.agents.reports import AgentReport, ReportsOverJws
from function_app.domain.base.errors import BadInput, NotAuthentic
from tests.unit.adapters.fake_agent import Identity, registered, status_object

NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
A, B = Identity("nva-a"), Identity("nva-b")
ENROLLED = {("hub", identity.name): identity.certificate for identity in (A, B)}


def contents(text: str, now: datetime = NOW) -> AgentReport:
    """As the trigger does: the certificate is the one that is enrolled for the sender that the report claims."""
    claimed = ReportsOverJws().claimed(text)
    certificate = ENROLLED.get((claimed.topology, claimed.agent))
    if certificate is None:
        raise NotAuthentic("no certificate is enrolled")
    return claimed.contents(certificate, now)


def report(signer: Identity = A, typ: str = "hopkeeper-report", **changes: Any) -> str:
    claims = registered(now=NOW.timestamp()) | {"reason": "fatal: data-path", "status": status_object()}
    return signer.sign(claims | changes, typ=typ)


def test_report_says_who_why_and_how_it_is() -> None:
    claimed = ReportsOverJws().claimed(report(reason="fatal:\nforged line"))

    assert (claimed.topology, claimed.agent) == ("hub", "nva-a")
    assert claimed.verify(A.certificate, NOW) == "fatal: forged line"
    assert claimed.contents(A.certificate, NOW).status.services["fw"].epoch == 3


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
def test_report_that_no_enrolled_agent_signed_for_us_now_is_not_authentic(text: str, rule: str) -> None:
    with pytest.raises(NotAuthentic, match=rule):
        contents(text)


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
        contents(text)


def test_clocks_may_differ_by_five_seconds() -> None:
    text = report(**registered(now=NOW.timestamp()))

    assert contents(text, NOW + timedelta(seconds=34.9)).reason
    assert contents(text, NOW - timedelta(seconds=4.9)).reason
