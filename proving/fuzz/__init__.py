"""Feeds what comes from outside, broken in every way, to whatever reads it: no crash, no slow answer."""
