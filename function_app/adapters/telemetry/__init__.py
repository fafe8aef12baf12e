"""Traces and metrics, for whoever watches the app."""
