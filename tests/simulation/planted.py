"""For each law a fault planted in the world, and the plan in which that law notices it."""

from msgspec.structs import replace

from proving.storm.bugs import Bugs
from proving.storm.calls import Mishap
from proving.storm.exhaustive import SCENARIOS
from proving.storm.faults import Fault, Kind, Plan

F1 = SCENARIOS["failover by F1, and rejoin"]
F2 = SCENARIOS["failover by F2, and rejoin"]
CALM = replace(SCENARIOS["switchover"], faults=(), heal_at=20.0)

DRAINED = replace(
    CALM,
    members=3,
    heal_at=60.0,
    shape=("active-active",),
    quiet=True,
    faults=(Fault(5.0, Kind.ORDER, "nva-c", 30.0, "drain"),),
)


def _with(plan: Plan, *faults: Fault) -> Plan:
    return replace(plan, faults=(*plan.faults, *faults))


def _moved(handover: str) -> Plan:
    """There and back, twice: some phase of the probe shows it."""
    moves = [Fault(40.0 * n, Kind.ORDER, f"nva-{'ba'[n % 2]}", how="switchover") for n in range(4)]
    return replace(
        CALM, seed=6, handover=handover, quiet=True, heal_at=170.0, faults=(replace(moves[0], at=5.0), *moves[1:])
    )


PLANTED: tuple[tuple[str, Bugs, Plan], ...] = (
    ("S1", Bugs(promotes_all=True), replace(F1, members=3)),
    (
        "S1",
        Bugs(believes_disks=True),
        _with(
            replace(SCENARIOS["switchover"], heal_at=90.0),
            Fault(25.0, Kind.SPLIT, "nva-a", 60.0, "both"),
            Fault(30.0, Kind.CRASH, "nva-a", 10.0, "rolled"),
        ),
    ),
    ("S1", Bugs(flutters=True), _moved("exclusive")),
    ("S20", Bugs(flutters=True), _moved("seamless")),
    ("S2", Bugs(grants_at_once=True), F2),
    ("S3", Bugs(forgets_members=True), F1),
    ("S4", Bugs(fences_nothing=True), replace(F2, seed=3)),
    ("S4", Bugs(fences_inside=True), replace(F2, shape=("sandwich",))),
    ("S5", Bugs(rewinds_epochs=True), F1),
    ("S6", Bugs(never_saves=True), F1),
    ("S7", Bugs(loses_records=True), F1),
    ("S8", Bugs(slanders=True), replace(CALM, heal_at=150.0)),
    ("S9", Bugs(lifts_up=True), F2),
    (
        "S10",
        Bugs(hides_peers=True),
        replace(_with(CALM, Fault(1.0, Kind.RS_GONE, "nva-b"), Fault(1.0, Kind.RS_FOREIGN)), heal_at=100.0),
    ),
    ("S11", Bugs(hides_pauses=True), _with(F1, Fault(2.0, Kind.ORDER, seconds=90.0, how="pause"))),
    ("S11", Bugs(hides_newness=True), _with(F1, Fault(2.0, Kind.NEWER, seconds=90.0))),
    ("S12", Bugs(swaps_targets=True), F1),
    (
        "S13",
        Bugs(obeys_anything=True),
        _with(
            replace(SCENARIOS["switchover"], heal_at=90.0),
            Fault(4.0, Kind.MISHAP, seconds=30.0, how=Mishap.DOUBLE, where="agent.fence"),
            Fault(20.0, Kind.ORDER, "nva-a", how="switchover"),
        ),
    ),
    ("S14", Bugs(drops_members=True), F2),
    ("S15", Bugs(boots_serving=True), _with(CALM, Fault(5.0, Kind.CRASH, "nva-b", 1.0))),
    ("S16", Bugs(is_moody=True), F1),
    (
        "S19",
        Bugs(believes_documents=True),
        _with(
            replace(CALM, profile="edits", heal_at=150.0),
            Fault(5.0, Kind.EDIT, "nva-a", 140.0, "service", where="hand"),
        ),
    ),
    ("S21", Bugs(misreads_prefixes=True), CALM),
    ("S21", Bugs(fences_all=True), DRAINED),
    ("L1", Bugs(ignores_promotes=True), replace(F1, heal_at=40.0)),
    ("L1", Bugs(ignores_outward=True), replace(CALM, pace="usual")),
    ("L2", Bugs(never_fences=True), replace(CALM, last_crash=True)),
    ("L3", Bugs(ignores_promotes=True), _with(CALM, Fault(22.0, Kind.FATAL, "nva-a", 5.0))),  # after healing
    ("L4", Bugs(never_lifts=True), F2),
    ("L5", Bugs(slanders=True), replace(CALM, heal_at=150.0, quiet=True)),
    ("L6", Bugs(mutes_all=True), replace(CALM, begins="unknown")),
    ("L8", Bugs(never_fences=True), replace(CALM, last_crash=True, last="isolated")),
    ("L7", Bugs(ignores_promotes=True), replace(F1, lasting=(Fault(5.0, Kind.FATAL, "nva-a", 1e9),))),
)
