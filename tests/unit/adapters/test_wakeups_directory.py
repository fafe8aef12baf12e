"""The directory queue's format, to the letter: another program reads it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from function_app.adapters.storage.queue import WakeUpsInDirectory


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, 3, 0, 0, 250_001, tzinfo=UTC)

    async def sleep(self, duration: timedelta) -> None:
        raise AssertionError("sending does not wait")


async def test_file_is_named_for_when_it_is_due_and_holds_one_message(tmp_path: Path) -> None:
    await WakeUpsInDirectory(tmp_path, "wakeups", StoppedClock()).send("hub", timedelta(seconds=2))

    (file,) = (tmp_path / "queues" / "wakeups").iterdir()
    # Rounded up to the next ms: never visible before its time.
    assert re.fullmatch(r"001767236402251\.[0-9a-f]{32}\.0\.msg", file.name)
    assert json.loads(file.read_text()) == {
        "body": '{"topology": "hub"}',
        "inserted": "2026-01-01T03:00:00.250001+00:00",
        "expires": "2026-01-08T03:00:00.250001+00:00",
    }
