"""The BGP configurations that a topology implies, one vendor's language at a time. Text only: nothing is sent anywhere."""

from function_app.render.vendors import Vendor, render

__all__ = ["Vendor", "render"]
