"""Small documents of our own that a pass can do without: one that is missing or cannot be read counts as absent.

Not for records, where that means to learn again (`records`), nor for operators' documents (`topologies`).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from function_app.reconcile.ports import Documents

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What decoding raises: the second of a text that was cut in the middle of a character."""


async def load[T](
    documents: Documents, key: str, kind: type[T], dec_hook: Callable[[type, object], Any] | None = None
) -> tuple[T | None, str | None]:
    """The document and the etag that its next write must carry; (None, None) where there is none, (None, etag) where it
    cannot be read. Raises Unavailable."""
    stored = await documents.load(key)
    if stored is None:
        return None, None
    try:
        return msgspec.json.decode(stored.body, type=kind, dec_hook=dec_hook), stored.etag
    except UNREADABLE:
        return None, stored.etag
