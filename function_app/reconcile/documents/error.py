"""How the HTTP functions say that something was wrong: one shape, whatever it was."""

from typing import Literal

from msgspec import UNSET, UnsetType

from function_app.reconcile.documents.findings import PreflightFinding
from function_app.reconcile.documents.part import Part


class Wrong(Part, frozen=True, kw_only=True):
    """One thing that is wrong with what was sent: where (`?most`, `$.speakers[0].asn`), in which line, and which rule."""

    path: str
    rule: str
    line: int | UnsetType = UNSET


class ErrorDetail(Part, frozen=True, kw_only=True):
    """`message` is one sentence. `problems` is empty where nothing is wrong with what was sent. `causes`: why, each the reason
    of the one before. `findings` of preflight are there where they refuse a document."""

    message: str
    problems: tuple[Wrong, ...]
    causes: tuple[str, ...]
    findings: tuple[PreflightFinding, ...] | UnsetType = UNSET


class ErrorAnswer(Part, frozen=True, kw_only=True):
    """The body of every answer of 400 and more that the app itself gives."""

    error: ErrorDetail
    schema: Literal["hopkeeper/error/1"] = "hopkeeper/error/1"
