"""What a topology implies for a speaker: its BGP in a vendor's language, or its agent's file. Text: nothing is sent anywhere."""

from function_app.render.vendors import LANGUAGES, Vendor, did_you_mean, render

__all__ = ["LANGUAGES", "Vendor", "did_you_mean", "render"]
