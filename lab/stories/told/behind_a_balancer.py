"""Stories of appliances behind an internal load balancer."""

from lab.stories.acts import (
    all_serve,
    apply,
    boots,
    converged,
    data_path,
    dies,
    holds,
    is_fenced,
    is_lifted,
    is_stable,
    order,
    peerings_are_made,
    routes_are_verified,
)
from lab.stories.seed import Seeding
from lab.stories.stage import Story

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
    Seeding(by_address=True),
)

STORIES = (ACTIVE_PASSIVE, ACTIVE_ACTIVE)
