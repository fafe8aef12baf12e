"""Models of the protocol, and of the ranked kinds, checked over every history up to a size."""
