"""Which keys a document may have: the ones that mean the same in Blob Storage and in a directory.

Which keys there are is `reconcile.store.keys`.
"""

from function_app.domain.base.errors import BadInput

# Azure allows 1,024 characters for a blob's name (Naming and referencing containers, blobs and metadata).
KEY_MAX = 1024
# Linux file systems allow 255 bytes for a name; the directory twin needs a few for its draft beside it.
SEGMENT_MAX_BYTES = 240


def check_key(key: str) -> str:
    """The key itself, or BadInput naming the rule it breaks."""
    if rule := _broken_rule(key):
        raise BadInput.of(f"key {key[:80]!r}", rule)
    return key


def check_prefix(prefix: str) -> str:
    """A prefix that some key may start with; empty means every key. Raises BadInput."""
    if prefix:
        check_key(prefix + "x")
    return prefix


def is_key(key: str) -> bool:
    """Whether a foreign name could have been written by us."""
    return _broken_rule(key) is None


def _broken_rule(key: str) -> str | None:
    if not key or len(key) > KEY_MAX:
        return f"a key has 1 to {KEY_MAX} characters"
    if not key.isprintable() or "\\" in key:
        return "a key has neither control characters, nor other unprintable ones, nor backslashes"
    for segment in key.split("/"):
        if not segment or segment.startswith(".") or segment.endswith("."):
            # Blob Storage drops dots at the end; clients resolve "." and ".." on the way; a directory hides the rest.
            return "the parts between the slashes are not empty and neither begin nor end with a dot"
        if len(segment.encode()) > SEGMENT_MAX_BYTES:
            return f"the parts between the slashes have at most {SEGMENT_MAX_BYTES} bytes in UTF-8"
    return None
