"""Log records as one JSON object a line: constant messages, values in fields, control characters escaped."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Syslog's, which systemd reads before a line (`journalctl -p`)."""


class JsonLines(logging.Formatter):
    """Formats a record as JSON; control characters in values come out escaped. `journal`: with the priority before it."""

    def __init__(self, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        priority = f"<{PRIORITIES.get(record.levelno, 6)}>" if self._journal else ""
        return priority + json.dumps(line, default=str)


def to_stderr(level: int = logging.INFO) -> None:
    """Send all logging to standard error, where systemd picks it up: it sets JOURNAL_STREAM then."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines("JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level, handlers=[handler], force=True)
