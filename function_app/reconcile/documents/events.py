"""Whether what is known of a topology changed."""

from typing import Literal

from function_app.reconcile.documents.part import Part


class Events(Part, frozen=True, kw_only=True):
    """`mark` stands for the topology's document, status, records and histories as they are; give it as `after` to wait for the
    next change. `changed`: it is another one than the mark that was given."""

    schema: Literal["hopkeeper/events/1"] = "hopkeeper/events/1"
    topology: str
    mark: str
    changed: bool
