"""Stories: plans worth keeping, each in a JSON file with the law that it broke, or once did."""

from pathlib import Path

import msgspec

from proving.storm.faults import Plan

KEPT = Path(__file__).with_name("stories")
"""Those that once found a fault; they must pass for ever."""


class Story(msgspec.Struct, frozen=True):
    """A plan, what it breaks or once broke, and what was seen."""

    law: str
    why: str
    plan: Plan


def load(path: Path) -> Story:
    """Raises OSError or msgspec.MsgspecError for what is no story."""
    return msgspec.json.decode(path.read_bytes(), type=Story)


def save(story: Story, folder: Path) -> Path:
    """Writes the story under a name made of its law, profile and seed, and gives the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{story.law.lower()}-{story.plan.profile}-{story.plan.seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(story), indent=1) + b"\n")
    return path
