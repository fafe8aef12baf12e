"""The core: pure functions and values. No I/O, no clock, no randomness, no logging. One package a question, importing one way."""
