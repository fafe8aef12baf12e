"""`python -m proving.gameday FILE`: see `command`."""

from proving.gameday.command import gameday

if __name__ == "__main__":
    gameday(prog_name="python -m proving.gameday")
