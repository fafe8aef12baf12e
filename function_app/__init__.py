"""Hopkeeper, the product: all that is deployed as the Function App."""
