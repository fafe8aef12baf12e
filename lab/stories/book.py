"""Every story by its name. One whose example is not there is not told."""

from collections.abc import Mapping

from lab.stories.stage import EXAMPLES, Story
from lab.stories.told import behind_a_balancer, hubs, outward, ranked, slots

STORIES: Mapping[str, Story] = {
    story.name: story
    for story in (*behind_a_balancer.STORIES, *ranked.STORIES, *slots.STORIES, *hubs.STORIES, *outward.STORIES)
    if (EXAMPLES / story.example).exists()
}
