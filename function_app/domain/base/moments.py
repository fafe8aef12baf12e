"""How a time is written everywhere that a person reads it, and how one that a person writes is read."""

import re
from datetime import datetime, time, timedelta


def moment(at: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def moment_of(text: str, now: datetime) -> datetime:
    """A time that a person writes: as `moment` and others print it, the last 03:00, or -10m (s, m, h, d). Raises ValueError."""
    if back := re.fullmatch(r"-(\d+)([smhd])", text):
        try:
            return now - timedelta(seconds=int(back[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[back[2]])
        except OverflowError:
            raise ValueError(f"{text!r} is before there were dates") from None
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?Z?", text):
        clock = time.fromisoformat(text.rstrip("Z").zfill(5 if text.count(":") == 1 else 8))
        today = datetime.combine(now.date(), clock, now.tzinfo)
        return today if today <= now else today - timedelta(days=1)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: {moment(now)}, 03:00 and -10m are") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)
