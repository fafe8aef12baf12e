"""What Hopkeeper knows and decides. Pure: no I/O, no clock, no randomness, no logging."""
