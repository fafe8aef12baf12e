"""Which tests speak about which module of the domain, and what of the code is text for people."""

from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
DOMAIN = Path("function_app") / "domain"
RESULTS = TREE / "build" / "mutants"

TEXTS = {"Problem": (1,), "Fault": (1, 2), "Refusal": (1,), "Unjudged": (), "ValueError": (0,), "BadInput": ()}
"""By function or class: the arguments that are wording (`Problem(path, rule)`, `Fault(path, what, do)`)."""

_SERVICE = (
    "outcomes",
    "sessions",
    "preempt",
    "active_active",
    "beliefs",
    "protocol_rules",
    "election",
    "evidence",
    "guards",
    "handover",
    "learn",
    "new_holder",
    "obeyed",
    "observation",
    "stored_words",
    "reconcile/test_orders",
)

TESTS: dict[str, tuple[str, ...]] = {
    "base": ("base", "guards"),
    "base/addresses": ("addresses",),
    "base/azure_limits": ("timing", "topology_laws", "topology_model", "ranking"),
    "base/timing": ("timing",),
    "brownfield": ("brownfield",),
    "networks": ("networks", "reconcile/test_networks"),
    "peerings": ("peerings", "announcing", "slots", "scale_sets"),
    "peerings/order": ("peering_order", "slots", "peering_storm"),
    "peerings/plan": ("peerings", "slots", "scale_sets", "announcing"),
    "peerings/scale_sets": ("scale_sets",),
    "peerings/slots": ("slots", "peerings"),
    "preflight": ("preflight", "preflight_cases", "preflight_egress"),
    "routes": ("routes",),
    "routes/advertised": ("advertised_routes",),
    "routes/as_paths": ("as_paths",),
    "routes/effective": ("effective_routes",),
    "routes/expected": ("expected_routes",),
    "routes/hubs": ("routes", "advertised_routes"),
    "service": (*_SERVICE, "ranking", "outward"),
    "service/active_active": ("active_active", "reconcile/test_orders"),
    "service/advertise": ("advertise", *_SERVICE),
    "service/balancer": ("provable", "preflight_cases", "stored_words"),
    "service/bounds": ("bounds",),
    "service/decision": ("advertise", *_SERVICE),
    "service/kind": ("kinds", "outcomes", "ranking"),
    "service/kinds": ("kinds", *_SERVICE),
    "service/leaving": ("reconcile/test_leaving", *_SERVICE),
    "service/outward": ("outward",),
    "service/provable": ("provable",),
    "service/referents": ("beliefs", "guards", "reconcile/test_topologies"),
    "service/ranked": ("ranking", "ranked_steps", "kinds", "reconcile/test_outranking"),
    "service/rehearsal": ("reconcile/test_rehearsal", *_SERVICE),
    "service/sharing": ("handover", "reconcile/test_handover"),
    "topology": ("topology", "topology_laws", "topology_model"),
    "topology/announces": ("announces", "topology_laws"),
    "topology/model": ("topology", "topology_laws", "topology_model", "wakes"),
    "topology/shapes": ("shapes", "topology"),
    "topology/peering_names": ("topology_model", "topology_laws", "peerings"),
}
"""By package or module of the domain: files under tests/unit. A module takes those of the longest name that it begins with."""


def modules() -> tuple[str, ...]:
    """Every module of the domain, such as `topology/model`; a package's `__init__` where it holds code."""
    folder = TREE / DOMAIN
    found = (path for path in sorted(folder.rglob("*.py")) if "def " in path.read_text() or "=" in path.read_text())
    return tuple(str(path.relative_to(folder).with_suffix("")) for path in found)


def source_of(module: str) -> Path:
    return TREE / DOMAIN / f"{module}.py"


def dotted(module: str) -> str:
    """`topology/laws` is imported as `function_app.domain.topology.laws`."""
    return ".".join((*DOMAIN.parts, *module.split("/"))).removesuffix(".__init__")


def paths_of_tests(module: str) -> tuple[str, ...]:
    """The test files that speak about a module, relative to the tree. Raises ValueError where none do."""
    mine = max((key for key in TESTS if f"{module}/".startswith(f"{key}/")), key=len)
    names = (name if "/" in name else f"test_{name}" for name in TESTS[mine])
    return tuple(f"tests/unit/{name}.py" for name in names)
