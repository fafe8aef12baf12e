"""Every story by its name. One whose example is not there is left out."""

from collections.abc import Mapping

from proving.stories.scenarios import behind_a_balancer, egress, flags, hubs, outward, places, ranked, slots
from proving.stories.stage import EXAMPLES, Story

CHAPTERS = (behind_a_balancer, ranked, slots, places, hubs, flags, outward, egress)

STORIES: Mapping[str, Story] = {
    story.name: story for chapter in CHAPTERS for story in chapter.STORIES if (EXAMPLES / story.example).exists()
}
