"""The world of one ranked history: announcers and two instances in the place of a load balancer, which nobody asks."""

from function_app.domain.topology.model import Topology
from proving.storm.bugs import Bugs
from proving.storm.nva import Nva
from proving.storm.ranked.checks import RankedChecks
from proving.storm.ranked.instances import Instances
from proving.storm.ranked.nva import Announcer
from proving.storm.world import World


class RankedWorld(World):
    """See the module."""

    route_server: Instances
    checks: RankedChecks

    def __init__(self, seed: int, topology: Topology, bugs: Bugs) -> None:
        super().__init__(seed, topology, bugs)
        self.checks = RankedChecks(self)
        self.route_server = Instances(self, topology)
        self.agents = {name: Announcer(self, name) for name in sorted(self.service.agents)}

    def changed(self, agent: Nva) -> None:
        self.dirty = True
        self.route_server.relink()

    def reached(self) -> list[str]:
        """Members that every live instance sends new flows to, and that can forward them; none where instances differ."""
        hops = self.route_server.next_hops()
        if not hops or any(len(one) != 1 or one != hops[0] for one in hops):
            return []
        (name,) = hops[0]
        return [name] if self.agents[name].up and not self.agents[name].fatal else []
