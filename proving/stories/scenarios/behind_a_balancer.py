"""Stories of appliances behind an internal load balancer."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from function_app.domain.service.record import Kind
from proving.stories.acts import (
    PATIENCE,
    adopt,
    all_serve,
    apply,
    boots,
    converged,
    data_path,
    dies,
    expect,
    fault,
    foreign_peering,
    holds,
    is_cut_off,
    is_fenced,
    is_joined,
    is_lifted,
    is_stable,
    keeps,
    observes,
    order,
    order_refused,
    own_peerings,
    passes,
    peerings_are_made,
    rewrite,
    routes_are_verified,
    says,
    seen,
    stays,
)
from proving.stories.seed import Seeding
from proving.stories.stage import Act, Stage, Story
from simulator.resources import Json, parse_path

FIREWALL, TRANSIT = "egress-firewall", "transit"

ACTIVE_PASSIVE = Story(
    "active-passive",
    "two firewalls behind a load balancer; the one that serves dies, is fenced, and comes back as standby.",
    "active-passive.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "nva-a", "nva-b"),
        holds(FIREWALL, "nva-a"),
        routes_are_verified(),
        converged(),
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        is_stable(FIREWALL),
        boots("nva-a"),
        is_lifted(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        converged(),
        order("switchover", FIREWALL, "the operator moves it back", to="nva-a"),
        holds(FIREWALL, "nva-a"),
        data_path("nva-a", works=False),
        holds(FIREWALL, "nva-b"),
        data_path("nva-a", works=True),
        converged(),
    ),
)

WITHOUT_AGENTS = Story(
    "appliances",
    "two firewalls without an agent: the second is Down, and takes over when the load balancer's probe of the first fails.",
    "appliances.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "fw-a", "fw-b"),
        holds(FIREWALL, "fw-a", within=PATIENCE),
        is_fenced(FIREWALL, "fw-b"),
        routes_are_verified(),
        converged(),
        dies("fw-a"),
        is_fenced(FIREWALL, "fw-a", within=90),
        holds(FIREWALL, "fw-b"),
        boots("fw-a"),
        stays(
            "fw-a stays Down, although it answers its probe", lambda s: s.admin_state("fw-a", FIREWALL) == "Down", 90
        ),
        order("switchover", FIREWALL, "the operator moves it back", to="fw-a"),
        holds(FIREWALL, "fw-a"),
        is_stable(FIREWALL),
        dies("fw-b"),
        order_refused(
            "switchover", FIREWALL, "the operator moves it to one that is dead", "own check of it fails", to="fw-b"
        ),
        order("failover", FIREWALL, "the operator insists", to="fw-b"),
        is_fenced(FIREWALL, "fw-a"),
        holds(FIREWALL, "fw-a", within=90),
        boots("fw-b"),
        converged(),
        order("release", FIREWALL, "the operator wants it managed no more"),
        all_serve(FIREWALL, "fw-a", "fw-b"),
    ),
)

SOON_ENOUGH = 12.0
"""Seconds: a miss by both witnesses, and the write of Down; the probe alone needs ten, and two looks after that."""

WATCHED = Story(
    "appliances-watched",
    "two firewalls without an agent and two witnesses: what both miss has failed, what one misses has not.",
    "appliances-watched.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "fw-a", "fw-b"),
        holds(FIREWALL, "fw-a", within=PATIENCE),
        is_fenced(FIREWALL, "fw-b"),
        converged(),
        is_cut_off("witness-1"),
        keeps(FIREWALL, "fw-a", 60),
        is_joined("witness-1"),
        converged(),
        dies("fw-a"),
        is_fenced(FIREWALL, "fw-a", within=SOON_ENOUGH),
        holds(FIREWALL, "fw-b"),
        boots("fw-a"),
        converged(),
        order("switchover", FIREWALL, "the operator moves it back", to="fw-a"),
        holds(FIREWALL, "fw-a"),
        dies("fw-b"),
        says("a dead standby is known before it is needed", "fw-b"),
        keeps(FIREWALL, "fw-a", 60),
    ),
)

MIXED_PAIR = Story(
    "mixed-pair",
    "a firewall without an agent beside one with: the one is Down while it stands by, the other's agent says so.",
    "mixed-pair.yaml",
    (
        apply(),
        peerings_are_made("rs-hub", "fw-a", "nva-b"),
        holds(FIREWALL, "fw-a", within=PATIENCE),
        converged(),
        dies("fw-a"),
        is_fenced(FIREWALL, "fw-a", within=60),
        holds(FIREWALL, "nva-b"),
        boots("fw-a"),
        data_path("nva-b", works=False),
        holds(FIREWALL, "fw-a"),
        data_path("nva-b", works=True),
        passes(10, "its self-checks succeed again"),
        converged(),
        order("switchover", FIREWALL, "the operator moves it back", to="nva-b"),
        is_fenced(FIREWALL, "fw-a"),
        holds(FIREWALL, "nva-b"),
    ),
)

ACTIVE_ACTIVE = Story(
    "active-active",
    "two routers behind a load balancer, both serving; one dies, the other goes on, and it comes back.",
    "active-active.yaml",
    (
        apply(),
        peerings_are_made("rs-transit", "router-a", "router-b"),
        all_serve(TRANSIT, "router-a", "router-b"),
        routes_are_verified(),
        dies("router-b"),
        all_serve(TRANSIT, "router-a"),
        boots("router-b"),
        all_serve(TRANSIT, "router-a", "router-b"),
        order("drain", TRANSIT, "the operator drains router-a for a change", member="router-a", minutes=30),
        all_serve(TRANSIT, "router-b"),
        order("undrain", TRANSIT, "the change is done", member="router-a"),
        all_serve(TRANSIT, "router-a", "router-b"),
        converged(),
    ),
)

AT_REST = (apply(), holds(FIREWALL, "nva-a", within=90), converged())

POOL_OF_ADDRESSES = Story(
    "pool-of-addresses",
    "a backend pool that names addresses of a network and no interfaces is fenced and lifted all the same.",
    "active-passive.yaml",
    (
        *AT_REST,
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        boots("nva-a"),
        is_lifted(FIREWALL, "nva-a"),
    ),
    Seeding(by_address=True, peered=True),
)

POOL_OF_INTERFACES = Story(
    "pool-of-interfaces",
    "a backend pool of network interfaces, whose addresses only health shows, is rehearsed, fenced and lifted all the same.",
    "active-passive.yaml",
    (
        *AT_REST,
        order("rehearse", FIREWALL, "the operator rehearses the fence", member="nva-b"),
        is_lifted(FIREWALL, "nva-b"),
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        boots("nva-a"),
        is_lifted(FIREWALL, "nva-a"),
    ),
    Seeding(by_interface=True, peered=True),
)

HALF_A_FENCE = Story(
    "half-a-fence",
    "Down is written, and health goes on saying what it said before: held, until a later attempt proves it anew.",
    "active-passive.yaml",
    (
        *AT_REST,
        fault(
            "the load balancer's health is stale, and a write that changes nothing keeps its etag",
            health_stale=True,
            noop_keeps_etag=True,
        ),
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a", within=150),  # health shows its probe as it was: until patience is over
        stays("no member is promoted on half a proof", lambda stage: not stage.nvas["nva-b"].answers(FIREWALL), 90),
        fault("health is fresh again", health_stale=False),
        holds(FIREWALL, "nva-b", within=120),
    ),
    Seeding(peered=True),
)


def _patient(document: Json) -> None:
    document["timing"] = {**document.get("timing", {}), **PATIENT}


PATIENT = {"observeSlow": "PT68S", "fenceTimeout": "PT270S", "operationDeadline": "PT540S"}
"""Settings that cover a write and a health answer of a minute each."""

SLOW_API = Story(
    "slow-management-api",
    "Azure takes a minute for a write and for a health answer; reports that come again leave the fence to the pass at it.",
    "active-passive.yaml",
    (
        *AT_REST,
        fault("the management API slows down", pool_write_seconds=60.0, health_seconds=60.0),
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a", within=120),
        holds(FIREWALL, "nva-b", within=200),
        fault("the management API is quick again", pool_write_seconds=3.0, health_seconds=1.0),
        boots("nva-a"),
        is_lifted(FIREWALL, "nva-a", within=300),
        holds(FIREWALL, "nva-b"),
    ),
    Seeding(peered=True),
    change=_patient,
)

WHAT_EXPLAINS = Story(
    "what-explains",
    "both are gone; what Azure's metrics and health events say of it stands in the status, and is no reason for anything.",
    "active-passive.yaml",
    (
        *AT_REST,
        seen("Monitor's metrics agree that nva-a serves", lambda last: metrics(last)["nva-a"] == "ok"),
        dies("nva-b"),
        data_path("nva-a", works=False),
        seen("the load balancer's health events say so as well", lambda last: "NoHealthyBackends" in events(last)),
        data_path("nva-a", works=True),
        holds(FIREWALL, "nva-a"),
    ),
    Seeding(peered=True),
)


REHEARSAL = Story(
    "fence-rehearsal",
    "the fence is rehearsed on the standby: Down, proof, None. Where Azure does not play along it says so, and no flow moves.",
    "active-passive.yaml",
    (
        *AT_REST,
        order("rehearse", FIREWALL, "the operator rehearses the fence", member="nva-b"),
        is_lifted(FIREWALL, "nva-b"),
        fault("the load balancer's health is stale", health_stale=True),
        order("rehearse", FIREWALL, "the operator rehearses it again", fails=True, member="nva-b"),
        fault("health is fresh again", health_stale=False),
        is_lifted(FIREWALL, "nva-b"),
        holds(FIREWALL, "nva-a"),
        converged(),
    ),
    Seeding(peered=True),
)


def metrics(last: Json) -> Json:
    found: Json = last["services"][FIREWALL]["metrics"] or {"nva-a": "unread"}
    return found


def events(last: Json) -> set[str]:
    return {event["kind"] for event in last["services"][FIREWALL]["events"]}


def _deployed_again(stage: Stage) -> None:
    """The pool as its owner's template has it, without an adminState."""
    service = stage.topology.service(FIREWALL)
    assert service.load_balancer is not None
    (outside,) = service.load_balancer.also_behind
    path = parse_path(f"{outside.id}/backendAddressPools/{outside.backend_pool}")
    assert path is not None
    pool = deepcopy(stage.world.load_balancers.child(path))
    for address in pool["properties"]["loadBalancerBackendAddresses"]:
        address["properties"].pop("adminState", None)
    stage.world.load_balancers.put_pool(path, pool, None)


def _is_renewed(stage: Stage) -> bool:
    found = stage.record(FIREWALL)
    operation = found.operation if found is not None else None
    return found is not None and operation is not None and operation.kind == Kind.RENEW and "nva-a" in found.fenced


SANDWICH = Story(
    "sandwich",
    "two firewalls between an internal and a public load balancer; a fence is Down in both, or it is made again.",
    "sandwich.yaml",
    (
        *AT_REST,
        dies("nva-a"),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        is_stable(FIREWALL),
        adopt("whoever owns the public load balancer deploys its pool again", _deployed_again),
        expect("the fence is believed no more, and made again for the same holder", _is_renewed, 120),
        is_fenced(FIREWALL, "nva-a"),
        holds(FIREWALL, "nva-b"),
        boots("nva-a"),
        is_lifted(FIREWALL, "nva-a"),
        order("switchover", FIREWALL, "the operator moves it back", to="nva-a"),
        holds(FIREWALL, "nva-a"),
        converged(),
    ),
    Seeding(peered=True),
)


def _rule_goes_by(name: str) -> Callable[[Stage], None]:
    """The load balancer's rule has this probe from now on; the agents' stays defined, used or not."""

    def change(stage: Stage) -> None:
        spec = stage.topology.service(FIREWALL).load_balancer
        assert spec is not None
        path = parse_path(spec.id)
        assert path is not None
        document = deepcopy(stage.world.state.resources.get(path.id))
        assert document is not None
        facts = document["properties"]
        ours = next(probe for probe in facts["probes"] if probe["name"] == spec.probe)
        theirs = {**ours, "name": "ssh", "id": f"{spec.id}/probes/ssh"}
        theirs["properties"] = {"protocol": "Tcp", "port": 22, "intervalInSeconds": 5, "numberOfProbes": 2}
        facts["probes"] = [ours, theirs]
        facts["loadBalancingRules"][0]["properties"]["probe"] = {"id": f"{spec.id}/probes/{name}"}
        stage.world.adopt(document)

    return change


def _only_nva_a_answers(stage: Stage) -> bool:
    answering = [name for name in ("nva-a", "nva-b") if stage.nvas[name].answers(FIREWALL)]
    return answering == ["nva-a"] and all(stage.admin_state(name, FIREWALL) == "None" for name in ("nva-a", "nva-b"))


HIS_PEERINGS = {"nva-a": "to-fw-1", "nva-b": "to-fw-2"}
"""The names that the operator gave his peerings, by speaker."""


def _there_already(speaker: str, address: str) -> Act:
    return foreign_peering("rs-hub", HIS_PEERINGS[speaker], address, 65001)


def _adopts(document: dict[str, Any]) -> None:
    document["routeServers"][0]["adopt"] = HIS_PEERINGS


def _as_he_left_it(stage: Stage) -> bool:
    """His two peerings and no other, nothing commanded, nothing on record, no adminState."""
    hub = stage.topology.route_servers[0].id
    peerings = {item["name"] for item in stage.world.route_servers.peerings(hub)}
    commanded = any(stage.nvas[name].epoch(FIREWALL) for name in HIS_PEERINGS)
    states = {stage.admin_state(name, FIREWALL) for name in HIS_PEERINGS}
    untouched = peerings == set(HIS_PEERINGS.values()) and stage.record(FIREWALL) is None
    return untouched and not commanded and states == {"None"}


FROM_WHAT_YOU_HAVE = Story(
    "from-what-you-have",
    "the load balancer has the operator's own probe at first: one member is made to answer ours, and then the rule is switched.",
    "active-passive.yaml",
    (
        adopt(
            "the load balancer's rule goes by the operator's probe of port 22, which both answer", _rule_goes_by("ssh")
        ),
        _there_already("nva-a", "10.0.1.4"),
        _there_already("nva-b", "10.0.1.5"),
        observes(True),
        rewrite("the operator adopts his peerings, and puts the topology in force", _adopts),
        stays("nothing is written and nothing commanded", _as_he_left_it, 300),
        observes(False),
        expect("nva-a alone answers our probe, and no adminState was written", _only_nva_a_answers, PATIENCE),
        stays("and so it stays, while the operator takes his time", _only_nva_a_answers, 600),
        adopt("the operator gives the rule our probe", _rule_goes_by("hopkeeper")),
        holds(FIREWALL, "nva-a"),
        stays("nothing moves, and nothing is written", _only_nva_a_answers, 60),
        converged(),
        expect("his peerings are the only ones", lambda stage: own_peerings(stage, "rs-hub") == set()),
    ),
)

APPLIANCES_SANDWICH = Story(
    "appliances-sandwich",
    "two firewalls without an agent between two load balancers: the one that stands by is Down in both pools.",
    "appliances-sandwich.yaml",
    (
        apply(),
        holds(FIREWALL, "fw-a", within=PATIENCE),
        is_fenced(FIREWALL, "fw-b"),
        converged(),
        dies("fw-a"),
        is_fenced(FIREWALL, "fw-a", within=90),
        holds(FIREWALL, "fw-b"),
        boots("fw-a"),
        order("switchover", FIREWALL, "the operator moves it back", to="fw-a"),
        is_fenced(FIREWALL, "fw-b"),
        holds(FIREWALL, "fw-a"),
        order("release", FIREWALL, "the operator wants it managed no more"),
        all_serve(FIREWALL, "fw-a", "fw-b"),
    ),
    Seeding(peered=True),
)


STORIES = (
    ACTIVE_PASSIVE,
    FROM_WHAT_YOU_HAVE,
    ACTIVE_ACTIVE,
    SANDWICH,
    WITHOUT_AGENTS,
    WATCHED,
    MIXED_PAIR,
    APPLIANCES_SANDWICH,
    POOL_OF_ADDRESSES,
    POOL_OF_INTERFACES,
    HALF_A_FENCE,
    SLOW_API,
    REHEARSAL,
    WHAT_EXPLAINS,
)
