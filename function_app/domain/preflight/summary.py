"""Preflight: what would keep Hopkeeper, or the network under it, from working as written down. Pure.

`lint(topology, facts)` gives every finding of every rule, and names the rules that could not be judged because
something is unknown. It never decides anything: passes act as they do whatever is found here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from function_app.domain.base.errors import Problem
from function_app.domain.preflight import agents, balancer, egress, named, routes
from function_app.domain.preflight.facts import THE_APP, UNREAD, Facts, at_each_pool
from function_app.domain.preflight.rule import LintFinding, Need, Rule, Severity
from function_app.domain.topology.model import Topology

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

HEALTH_PROBES = "Azure Load Balancer health probes"
HA_PORTS = "High availability ports overview"
NEXT_HOP = "Next hop IP support in Azure Route Server"
FAQ = "Azure Route Server frequently asked questions (FAQ)"
DUAL_HOMED = "About dual-homed networks with Azure Route Server"

RULES: tuple[Rule, ...] = (
    # the load balancer: where traffic goes, and whether a fence would hold
    Rule("same-region", ERROR, (Need.ROUTE_SERVER, Need.LOAD_BALANCER), NEXT_HOP, balancer.same_region),
    Rule("probe", ERROR, (Need.LOAD_BALANCER,), HEALTH_PROBES, balancer.probe),
    Rule("probe-timing", WARNING, (Need.LOAD_BALANCER,), HEALTH_PROBES, balancer.probe_timing),
    Rule("all-probed-up", ERROR, (Need.LOAD_BALANCER,), HEALTH_PROBES, balancer.all_probed_up),
    Rule("members-in-pool", ERROR, (Need.LOAD_BALANCER,), "Backend pool management", balancer.members_in_pool),
    Rule("one-pool", ERROR, (Need.LOAD_BALANCER,), "docs/architecture.md, Evidence", balancer.one_pool),
    Rule("all-ports-rule", ERROR, (Need.LOAD_BALANCER,), HA_PORTS, balancer.all_ports_rule),
    Rule("probed-rules", ERROR, (Need.LOAD_BALANCER,), HEALTH_PROBES, balancer.probed_rules),
    Rule(
        "distribution", WARNING, (Need.LOAD_BALANCER,), "Azure Load Balancer distribution modes", balancer.distribution
    ),
    Rule("rehearsal", WARNING, (Need.REHEARSALS,), "docs/preflight.md, The fence rehearsal", balancer.rehearsal),
    # the Route Server: who announces what to it, and how long it keeps that
    Rule("both-instances", ERROR, (Need.ROUTE_SERVER, Need.AGENT), FAQ, routes.both_instances),
    Rule("peer-budget", ERROR, (Need.ROUTE_SERVER,), FAQ, routes.peer_budget),
    Rule("prefix-budget", ERROR, (Need.DOCUMENT,), FAQ, routes.prefix_budget),
    Rule("two-advertisers", WARNING, (Need.DOCUMENT,), FAQ, routes.two_advertisers),
    Rule("hold-time", WARNING, (Need.DOCUMENT,), "docs/topology.md, timing", routes.hold_time),
    Rule("as-override", ERROR, (Need.DOCUMENT,), DUAL_HOMED, routes.as_override),
    Rule("one-hub", WARNING, (Need.DOCUMENT,), "docs/topology.md, The speaker's own configuration", routes.one_hub),
    Rule("remote-gateways", ERROR, (Need.DOCUMENT,), DUAL_HOMED, routes.remote_gateways),
    # the network: whether packets come through, and back
    Rule("prefix-in-network", WARNING, (Need.DOCUMENT,), "Virtual network traffic routing", routes.prefix_in_network),
    Rule("own-next-hop", WARNING, (Need.DOCUMENT,), NEXT_HOP, routes.own_next_hop),
    Rule(
        "default-route-udr",
        WARNING,
        (Need.INTERFACE,),
        "Default route injection in spoke virtual networks",
        routes.default_route_udr,
    ),
    Rule("ip-forwarding", ERROR, (Need.INTERFACE,), "Enable or disable IP forwarding", routes.ip_forwarding),
    Rule("symmetric-return", WARNING, (Need.DOCUMENT,), NEXT_HOP, routes.symmetric_return),
    # what Hopkeeper itself stands on
    Rule("app-egress", ERROR, (Need.SUBNET,), "docs/preflight.md, The app's own way out", egress.app_egress),
    Rule("not-found", ERROR, (Need.ARM,), "docs/topology.md", named.not_found),
    Rule("permission", ERROR, (Need.ARM,), "infra/bicep/modules/roles.bicep", agents.permission),
    Rule("certificate", WARNING, (Need.DOCUMENT,), "docs/operating.md", agents.certificate),
    Rule("watched", WARNING, (Need.AGENT,), "docs/agent-protocol.md", agents.watched),
    Rule("silence-watched", WARNING, (Need.DOCUMENT,), "docs/topology.md, timing", agents.silence_watched),
    Rule("clock-offset", WARNING, (Need.AGENT,), "docs/agent-protocol.md", agents.clock_offset),
    Rule("answers", WARNING, (Need.DOCUMENT,), "docs/operating.md", agents.answers),
    Rule("redundancy", WARNING, (Need.ANY_AGENT,), "docs/architecture.md, Evidence", agents.redundancy),
    Rule("equal-priority", INFO, (Need.DOCUMENT,), "docs/topology.md", agents.equal_priority),
    Rule("agent-alarm", WARNING, (Need.AGENT,), "docs/agent-protocol.md", agents.agent_alarms),
    Rule("agent-version", WARNING, (Need.AGENT,), "CHANGELOG.md", agents.agent_version),
)  # fmt: skip
"""In the order in which findings are shown. A test compares it with docs/preflight.md."""

LAW = "law"
LAW_REFERENCE = "docs/topology.md"


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A rule that cannot be judged: what it needs, of which parts that is unknown, and why, part by part."""

    rule: str
    need: Need
    of: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, most serious first, and what could not be judged."""

    findings: tuple[LintFinding, ...]
    unjudged: tuple[Unjudged, ...] = ()

    @property
    def errors(self) -> int:
        return sum(finding.severity is Severity.ERROR for finding in self.findings)


def lint(topology: Topology, facts: Facts) -> Report:
    """Every finding; order is that of severity, then of RULES."""
    found = [finding for rule in RULES for finding in rule.findings(topology, facts)]
    ranks = list(Severity)
    found.sort(key=lambda finding: ranks.index(finding.severity))
    return Report(tuple(found), tuple(_unjudged(topology, facts)))


def broken(problems: tuple[Problem, ...]) -> Report:
    """The report of a document that breaks laws: nothing else can be judged on it."""
    do = "mend the document: while it is like this the last good one stays in force"
    return Report(tuple(LintFinding(LAW, ERROR, p.path, p.rule, do, LAW_REFERENCE) for p in problems))


def _unjudged(topology: Topology, facts: Facts) -> Iterator[Unjudged]:
    for rule in RULES:
        for need in rule.needs:
            if unknown := LACKING[need](topology, facts):
                yield Unjudged(rule.name, need, tuple(unknown), tuple(unknown.values()))


def _no_route_servers(topology: Topology, facts: Facts) -> dict[str, str]:
    unknown = [server for server in topology.route_servers if not facts.knows_route_server(server.name)]
    return {s.name: facts.route_servers_unread.get(s.name) or facts.why_unread(s.id) for s in unknown}


def _no_balancers(topology: Topology, facts: Facts) -> dict[str, str]:
    pools = {key: each for service in topology.services for key, each in at_each_pool(service).items()}
    behind = {key: each.load_balancer.id for key, each in pools.items() if each.load_balancer is not None}
    return {key: facts.why_unread(resource) for key, resource in behind.items() if facts.balancer(key) is None}


def _no_interfaces(topology: Topology, facts: Facts) -> dict[str, str]:
    members = topology.members
    named = {name: topology.speaker(name).interface for name in sorted(members - facts.interfaces.keys())}
    return {name: facts.why_unread(each) if each else "the document names none" for name, each in named.items()}


def _no_agents(topology: Topology, facts: Facts) -> dict[str, str]:
    return {n: facts.agents_unread.get(n, UNREAD) for n in sorted(topology.commanded - facts.agents.keys())}


def _no_subnet(topology: Topology, facts: Facts) -> dict[str, str]:
    if facts.app_subnet is not None:
        return {}
    unset = facts.arm is not None and facts.arm.app_subnet_unset
    return {THE_APP: "HOPKEEPER_APP_SUBNET_ID is not set" if unset else facts.why_unread(THE_APP)}


def _of_all(topology: Topology, lacks: bool) -> dict[str, str]:
    return {topology.name: UNREAD} if lacks else {}


LACKING: Mapping[Need, Callable[[Topology, Facts], Mapping[str, str]]] = {
    Need.DOCUMENT: lambda topology, facts: {},
    Need.ROUTE_SERVER: _no_route_servers,  # its region and its peerings were read
    Need.LOAD_BALANCER: _no_balancers,
    Need.INTERFACE: _no_interfaces,  # of each member
    Need.AGENT: _no_agents,
    Need.ANY_AGENT: lambda topology, facts: _of_all(topology, not facts.agents),
    Need.SUBNET: _no_subnet,
    Need.ARM: lambda topology, facts: _of_all(topology, facts.arm is None),
    Need.REHEARSALS: lambda topology, facts: _of_all(topology, facts.rehearsals is None),
}
"""By need, the names of those for which it is unknown, and why; empty where it is met."""
