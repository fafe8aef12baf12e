"""What every document and every part of one is: immutable, and in JSON with names in camelCase."""

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A document or a part of one. A field with the default UNSET is left out of the JSON where it says nothing."""
