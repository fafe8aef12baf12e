"""Where spans and measures go. Nothing takes them yet."""

from collections.abc import Iterable
from typing import ClassVar

from function_app.reconcile.telemetry import Measure, Span


class TelemetryUnsent:
    """Where no collector is configured: nothing is kept."""

    records: ClassVar[bool] = False

    def ended(self, span: Span) -> None:
        return None

    def measured(self, measures: Iterable[Measure]) -> None:
        return None
