"""The BGP configurations that a topology implies, one vendor's language at a time. Text only: nothing is sent anywhere."""

from function_app.render.vendors import Vendor, did_you_mean, render

__all__ = ["Vendor", "did_you_mean", "render"]
