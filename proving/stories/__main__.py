"""`python -m proving.stories [NAME ...]`: plays stories and prints them; without a name it lists them. Not zero if one fails."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence

from proving.stories.catalogue import STORIES
from proving.stories.stage import Story, play


def main(arguments: Sequence[str] | None = None, stories: Mapping[str, Story] = STORIES) -> int:
    """The exit status: 0, 1 if a story failed, 2 for one that there is not."""
    parser = argparse.ArgumentParser(prog="python -m proving.stories", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; `all` for every one")
    given = parser.parse_args(arguments)
    if not given.names:
        for name, story in sorted(stories.items()):
            print(f"{name:28}{story.says}")
        return 0
    names = sorted(stories) if given.names == ["all"] else given.names
    if unknown := [name for name in names if name not in stories]:
        print(f"error: there is no story {', '.join(unknown)}; there are {', '.join(sorted(stories))}", file=sys.stderr)
        return 2
    # What the product logs is for operators; without a handler Python would print it between the lines.
    logging.getLogger().addHandler(logging.NullHandler())
    failed = []
    for name in names:
        ending = play(stories[name], say=print)
        print()
        if ending.failure:
            failed.append(name)
            print(f"{name} failed: {ending.failure}\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
