"""Requests routes, in long-running operations, and compares them with what should be there."""
