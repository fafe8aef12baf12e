"""Behind an internal load balancer: every member announces the frontend, and the probe finds the one that serves."""

from ipaddress import IPv4Address

import msgspec

from function_app.domain.base.timing import ONE_VOICE
from function_app.domain.service import confirm, protocol, sharing
from function_app.domain.service.advertise import next_advertisements, wanted
from function_app.domain.service.bounds import Bound, Probe, bounds, noticed, with_agents
from function_app.domain.service.decision import Decision
from function_app.domain.service.kind import NextHopKind, kind_for
from function_app.domain.service.look import Look
from function_app.domain.service.observation import BalancerReading
from function_app.domain.service.patience import patience_is_over
from function_app.domain.service.record import Kind, Phase
from function_app.domain.service.steps import FenceByBalancer
from function_app.domain.topology.model import Handover, LoadBalancer, Mode, Service, Topology


class BehindLoadBalancer(NextHopKind):
    """Exclusive by fencing: by the agent (F1), or by adminState Down (F2)."""

    key = "loadBalancer"

    def next_hop(
        self, announcer: IPv4Address | None, holder: IPv4Address | None, frontend: IPv4Address | None
    ) -> IPv4Address | None:
        return frontend

    def make_way(self, look: Look, target: str) -> Decision:
        if look.kind is Kind.SWITCHOVER and look.service.handover is Handover.SEAMLESS:
            return sharing.share(look, target)
        return protocol.send_fences(look)

    def prove(self, look: Look, target: str) -> Decision:
        if look.record.is_shared:
            return sharing.side_by_side(look, target)
        if granted := protocol.grant(look, target):
            return granted
        refused = {name: why for name in protocol.unproven(look) if (why := _refused(look, name))}
        if look.kind is Kind.SWITCHOVER and refused:
            return protocol.back(look, "; ".join(f"{n}: {why}" for n, why in refused.items()))
        return protocol.send_fences(look)

    def confirm(self, look: Look, target: str) -> Decision:
        return confirm.confirm(look, target)

    def can_tell(self, look: Look) -> bool:
        """A fast pass does not read the load balancer."""
        return look.observed.balancer is not None

    def announce(self, look: Look, decision: Decision) -> Decision:
        """Members announce the prefixes with the frontend as next hop, whatever their role, once the frontend is known."""
        balancer = look.observed.balancer
        if decision.record.phase is Phase.LEARN or not isinstance(balancer, BalancerReading):
            return decision
        advertisements = wanted(look.service, balancer.frontend)
        return decision.with_more(*next_advertisements(look.with_record(decision.record), advertisements))

    def has_fence(self, service: Service) -> bool:
        """Where every member may serve at once, none is fenced for another."""
        return service.mode is not Mode.ACTIVE_ACTIVE

    def bounds(self, service: Service, topology: Topology, probe: Probe) -> tuple[Bound, ...]:
        timing = topology.timing
        if len(topology.commanded) < 2:  # a single one that watches is never believed at once (`health`)
            timing = msgspec.structs.replace(timing, silence=max(timing.silence, ONE_VOICE))
        return noticed(topology, bounds(timing, probe, service.handover, with_agents(service, topology)))


def _refused(look: Look, member: str) -> str | None:
    """Why a planned move is given up for this member, if so. Without an agent Down is written again while patience lasts: that
    may be on its way."""
    by_agent = protocol.proof_by_agent(look, member)
    if by_agent is None and not patience_is_over(look):
        return None
    return look.observed.tried.get(by_agent or FenceByBalancer(member, look.record.epoch))


@kind_for.register
def _(specification: LoadBalancer) -> NextHopKind:
    return BehindLoadBalancer()
