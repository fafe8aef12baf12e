"""What `hopkeeper gameday --json` prints. Seconds count from the fault; a flow is a service, or a prefix at a Route Server."""

from typing import Literal

from function_app.reconcile.documents.part import Part

type Verdict = Literal["within", "as without", "late", "costly", "law broken"]


class Change(Part, frozen=True, kw_only=True):
    """From `since` on this share of new flows reaches no machine that forwards (`lost`), and these machines get some."""

    since: float
    lost: float
    reached: tuple[str, ...]


class Course(Part, frozen=True, kw_only=True):
    """What became of one flow. `lost` adds up the share that was lost; `over`: nothing is lost from then on, None: never;
    `two`: for how long two members of an active-passive service got new flows."""

    lost: float
    over: float | None
    two: float
    after: tuple[str, ...]
    changes: tuple[Change, ...]


class Limit(Part, frozen=True, kw_only=True):
    """The published bound (`hopkeeper bounds`), what of it may cost more than doing nothing, and for how long two members may
    be admitted, null where that depends on whether the machine still answers."""

    detection: str
    fence: str
    seconds: float
    acting: float
    two: float | None


class Flow(Part, frozen=True, kw_only=True):
    """One flow that lost anything or went elsewhere. `limit` is null where nothing may be moved or nothing can be seen: then
    doing nothing is the measure."""

    flow: str
    before: tuple[str, ...]
    with_hopkeeper: Course
    without: Course
    limit: Limit | None
    verdict: Verdict


class Published(Part, frozen=True, kw_only=True):
    """An event that would be published, with its time."""

    at: float
    kind: str
    subject: str
    reasons: tuple[str, ...]


class Played(Part, frozen=True, kw_only=True):
    """One fault. `flows` holds those that it touched, none where nothing was lost and nothing moved."""

    fault: str
    says: str
    seconds: float
    flows: tuple[Flow, ...]
    events: tuple[Published, ...]
    broken_law: str


class NotSimulated(Part, frozen=True, kw_only=True):
    fault: str
    why: str


class Pace(Part, frozen=True, kw_only=True):
    """A time that the simulated Azure goes by, and how sure it is (docs/azure-facts.md); `section` is empty for a guess."""

    what: str
    value: str
    section: str
    sure: str


class GameDay(Part, frozen=True, kw_only=True):
    """Every fault that was played. The same topology and seed give the same document."""

    schema: Literal["hopkeeper/gameday/1"] = "hopkeeper/gameday/1"
    topology: str
    seed: int
    played: tuple[Played, ...]
    not_simulated: tuple[NotSimulated, ...]
    paces: tuple[Pace, ...]

    @property
    def is_well(self) -> bool:
        return all(is_well(played) for played in self.played)


def is_well(played: Played) -> bool:
    return not played.broken_law and all(flow.verdict in ("within", "as without") for flow in played.flows)
