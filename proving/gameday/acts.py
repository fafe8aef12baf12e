"""How faults befall the stage, beside the acts of stories."""

from collections.abc import Callable
from copy import deepcopy
from ipaddress import IPv4Address

from function_app.domain.topology.model import BackendPool
from lab.kit.virtual import virtual_loop
from proving.stories.stage import Act, Stage
from simulator.resources import Json, parse_path

FREEZE_SECONDS = 5.0
EMPTY_SECONDS = 30.0
"""Until whoever emptied a pool fills it again."""


def process_ends(name: str) -> Act:
    async def do(stage: Stage) -> None:
        await stage.end_agent(name)

    return Act(f"the agent of {name} is killed with -9, and its BGP daemon with it; the machine forwards", do)


def falls_silent(name: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.bgp.linger(name, stage.topology.timing.bgp_hold.total_seconds())
        if name in stage.nvas:
            await stage.kill(name)
        else:
            stage.broken.add(name)
            stage.bgp.gone.add(name)

    return Act(f"{name} is gone without a word, the whole machine; its sessions last for the hold time", do)


def freezes(name: str) -> Act:
    async def do(stage: Stage) -> None:
        await stage.freeze(name, FREEZE_SECONDS)

    return Act(f"{name} stands still for {FREEZE_SECONDS:g} s, and goes on", do)


def disk_fails(name: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.nvas[name].disk.is_broken = True

    return Act(f"the disk of {name} takes no write any more", do)


def probe_is_blocked(balancer: str, *members: str) -> Act:
    async def do(stage: Stage) -> None:
        stage.blocked |= {(balancer, member) for member in members}

    return Act(f"the probe of {balancer} does not reach {' and '.join(members)} any more", do)


def instance_is_gone(server: str, number: int) -> Act:
    async def do(stage: Stage) -> None:
        stage.bgp.deaf.add(_instance(stage, server, number))
        stage.bgp.look()

    return Act(f"instance {number + 1} of {server} is gone, and its sessions with it", do)


def _instance(stage: Stage, server: str, number: int) -> IPv4Address:
    return sorted(stage.seed.instances[server])[number]


def storage_is_away() -> Act:
    async def do(stage: Stage) -> None:
        stage.documents.is_away = True

    return Act("the app's storage does not answer any more", do)


def app_is_gone() -> Act:
    async def do(stage: Stage) -> None:
        for host in stage.hosts:
            await host.kill()
        stage.hosts.clear()

    return Act("every instance of the app is gone", do)


def pool_is_deployed_again(spec: BackendPool) -> Act:
    async def do(stage: Stage) -> None:
        _write_pool(stage, spec, lambda addresses: addresses)

    return Act(f"another writer deploys {spec.backend_pool} again as its template has it, without adminState", do)


def pool_is_emptied(spec: BackendPool) -> Act:
    async def do(stage: Stage) -> None:
        before = _addresses(stage, spec)
        _write_pool(stage, spec, lambda addresses: [])
        virtual_loop().call_later(EMPTY_SECONDS, _write_pool, stage, spec, lambda addresses: before)

    return Act(f"another writer empties {spec.backend_pool}, and fills it again after {EMPTY_SECONDS:g} s", do)


def _addresses(stage: Stage, spec: BackendPool) -> list[Json]:
    path = parse_path(spec.pool_id)
    assert path is not None
    return deepcopy(list(stage.world.load_balancers.child(path)["properties"]["loadBalancerBackendAddresses"]))


def _write_pool(stage: Stage, spec: BackendPool, change: Callable[[list[Json]], list[Json]]) -> None:
    path = parse_path(spec.pool_id)
    assert path is not None
    pool = deepcopy(stage.world.load_balancers.child(path))
    addresses = change(pool["properties"]["loadBalancerBackendAddresses"])
    for address in addresses:
        address["properties"].pop("adminState", None)
    pool["properties"]["loadBalancerBackendAddresses"] = addresses
    stage.world.load_balancers.put_pool(path, pool, None)
