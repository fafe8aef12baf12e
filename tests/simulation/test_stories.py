"""Every example has a story, played by the real adapters over the simulated Azure on virtual time, and it ends well."""

from pathlib import Path

import pytest

from proving.stories.__main__ import main
from proving.stories.acts import apply, holds, keeps
from proving.stories.catalogue import STORIES
from proving.stories.stage import EXAMPLES, Story, play
from tests.infra.test_role import granted
from tests.simulation.story_roles import played


@pytest.mark.parametrize("name", sorted(STORIES))
def test_a_story_ends_as_it_should(name: str) -> None:
    """Under exactly the roles that Bicep grants: the simulator answers 403 to everything else."""
    ending = played(name, granted())
    assert ending.failure is None, "\n".join(ending.lines)


def test_every_example_has_its_story_by_the_same_name() -> None:
    examples = {path.stem for path in EXAMPLES.glob("*.yaml")}
    named = {Path(story.example).stem for name, story in STORIES.items() if Path(story.example).stem == name}
    assert examples == named


def test_a_story_reads_the_same_every_time() -> None:
    first, second = play(STORIES["vip-by-injector"]), play(STORIES["vip-by-injector"])
    assert first.lines == second.lines


def test_an_expectation_that_is_not_met_fails_the_story_and_says_so() -> None:
    story = Story(
        "wrong", "it is not so.", "active-passive.yaml", (apply(), holds("egress-firewall", "nva-b", within=90))
    )
    ending = play(story)
    assert ending.failure == "nva-b alone holds egress-firewall: not within 90 s"
    assert "    ✗ nva-b alone holds egress-firewall" in "\n".join(ending.lines)


def test_the_command_lists_stories_and_plays_one_and_says_by_its_status_whether_it_went_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = Story("good", "it is so.", "active-passive.yaml", (apply(),))
    bad = Story("bad", "it is not so.", "active-passive.yaml", (apply(), keeps("egress-firewall", "nva-a", 10)))
    stories = {"good": good, "bad": bad}
    assert main([], stories) == 0
    assert "good" in capsys.readouterr().out
    assert main(["good"], stories) == 0
    assert "status of hub-uksouth" in capsys.readouterr().out
    assert main(["all"], stories) == 1
    assert "bad failed: nva-a keeps egress-firewall: not any more" in capsys.readouterr().err
    assert main(["none-such"], stories) == 2
    assert "there are bad, good" in capsys.readouterr().err


def test_an_expectation_that_is_not_kept_fails_the_story() -> None:
    story = Story("wrong", "it is not so.", "active-passive.yaml", (apply(), keeps("egress-firewall", "nva-a", 10)))
    assert play(story).failure == "nva-a keeps egress-firewall: not any more"
