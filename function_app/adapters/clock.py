"""The real clock. Tests and the simulator bring a virtual one."""

import asyncio
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Clock over the operating system's time and the running event loop."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(max(duration.total_seconds(), 0))
