"""Agents' reports as they come in by HTTP: signed by the agent, verified with the certificate that its topology enrols.

A report's claims are read once before anything is verified, to find that certificate, and believed only after `verify`.
"""

from dataclasses import dataclass
from datetime import datetime

from function_app.adapters.agents.jws import ClaimedSender, ExpectedClaims, claimed_sender, enrolled
from function_app.adapters.agents.messages import APP, REPORT, decode_report, decode_status, plain
from function_app.domain.service.observation import AgentStatus


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What an authentic agent reported: a reason to look, and its status at `status.clock`."""

    reason: str
    status: AgentStatus


@dataclass(frozen=True, slots=True)
class ReportInJws:
    """One report as it came in, and the agent and topology that it claims to be of."""

    text: str
    claimed: ClaimedSender

    @property
    def agent(self) -> str:
        return self.claimed.agent

    @property
    def topology(self) -> str:
        return self.claimed.topology

    def verify(self, certificate: str, now: datetime) -> str:
        """Checks it against the agent's enrolled certificate (PEM) and gives its reason, one short printable line.

        Raises NotAuthentic where another key signed it, or not just now, or not for this app; BadInput where it is
        malformed, or its status is another agent's.
        """
        return self.contents(certificate, now).reason

    def contents(self, certificate: str, now: datetime) -> AgentReport:
        """All of it, checked likewise."""
        expected = ExpectedClaims(REPORT, issuer=self.agent, audience=APP, subject=self.topology, now=now)
        report = decode_report(enrolled(certificate).verify(self.text, expected))
        return AgentReport(plain(report.reason), decode_status(report.status, self.topology, self.agent))


class ReportsOverJws:
    """Reads reports; whether the agent is enrolled is for the caller to find out."""

    def claimed(self, text: str) -> ReportInJws:
        """Raises BadInput for what is no report: nothing of it is verified yet."""
        return ReportInJws(text, claimed_sender(text))
