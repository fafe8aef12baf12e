"""What a preflight rule is and what it says: a finding has a severity, what to do, and where that is documented."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from function_app.domain.preflight.facts import Facts
from function_app.domain.topology.model import Service, Speaker, Topology


class Severity(StrEnum):
    """An error breaks a promise of Hopkeeper's, a warning breaks one of the network's, information is to be known."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Need(StrEnum):
    """What must be known for a rule to be judged."""

    DOCUMENT = "document"
    ROUTE_SERVER = "Route Server"
    LOAD_BALANCER = "load balancer"
    INTERFACE = "network interface"
    AGENT = "agent"
    ANY_AGENT = "any agent"
    SUBNET = "subnet"
    ARM = "ARM"
    REHEARSALS = "rehearsals"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule found: where in the document, what is wrong, what to do. `severity` where it is not the rule's own."""

    path: str
    what: str
    do: str
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that a person should know before, or while, Hopkeeper keeps a topology."""

    rule: str
    severity: Severity
    path: str
    what: str
    do: str
    reference: str
    """The title of a page of Azure's documentation, or of a section of ours."""


type Check = Callable[[Topology, Facts], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A small function over the document and the facts; what it needs and does not know, it says nothing about."""

    name: str
    severity: Severity
    needs: tuple[Need, ...]
    reference: str
    check: Check

    def findings(self, topology: Topology, facts: Facts) -> Iterator[LintFinding]:
        for f in self.check(topology, facts):
            yield LintFinding(self.name, f.severity or self.severity, f.path, f.what, f.do, self.reference)


def services(topology: Topology) -> Iterator[tuple[str, Service]]:
    """Every service and its path in the document."""
    for i, service in enumerate(topology.services):
        yield f"$.services[{i}]", service


def speakers(topology: Topology) -> Iterator[tuple[str, Speaker]]:
    """Every speaker and its path in the document."""
    for i, speaker in enumerate(topology.speakers):
        yield f"$.speakers[{i}]", speaker
