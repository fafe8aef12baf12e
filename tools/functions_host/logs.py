"""Logging to stderr, one line a record whatever the message holds."""

import logging
import sys
import time

# They speak at INFO for every request or invocation; --log-level debug lets them.
CHATTY = ("azure.core.pipeline.policies.http_logging_policy", "azure.functions", "azure.identity", "asyncio")


class OneLineFormatter(logging.Formatter):
    """Line breaks, also those of tracebacks, become a visible mark, so that no message can forge a record."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "").rstrip("\n").replace("\n", " ⏎ ")


def configure(level: str) -> None:
    """Send every record of at least `level` ("debug", "info", ...) to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        OneLineFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    if root.level > logging.DEBUG:
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
