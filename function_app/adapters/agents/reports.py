"""Agents' reports as they come in by HTTP: signed by the agent, verified with the certificate that its topology enrols."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from function_app.adapters.agents.http import verify_report
from function_app.adapters.agents.jws import AgentCertificate, claimed_sender

CERTIFICATES_MAX = 1024


@dataclass(frozen=True, slots=True)
class ReportInJws:
    """One report, and the agent and topology that it claims; see the port `SignedReport`."""

    text: str
    agent: str
    topology: str
    parsed: Callable[[str], AgentCertificate]

    def verify(self, certificate: str, now: datetime) -> str:
        enrolled = self.parsed(certificate)
        return verify_report(self.text, lambda topology, speaker: enrolled, now).reason


class ReportsOverJws:
    """The port `Reports`. Parsed certificates are cached by their text: parsing one costs more than a verification."""

    def __init__(self) -> None:
        self._parsed = lru_cache(maxsize=CERTIFICATES_MAX)(AgentCertificate.from_pem)

    def claimed(self, text: str) -> ReportInJws:
        agent, topology = claimed_sender(text)
        return ReportInJws(text, agent, topology, self._parsed)
