"""The kinds of next hop, one class a file; importing this package registers them all."""

from function_app.domain.service.kind import NextHopKind, kind_for, kind_of
from function_app.domain.service.kinds.load_balancer import BehindLoadBalancer
from function_app.domain.service.kinds.member import ByInjectors
from function_app.domain.service.kinds.own_address import ByItself

__all__ = ["BehindLoadBalancer", "ByInjectors", "ByItself", "NextHopKind", "kind_for", "kind_of"]
