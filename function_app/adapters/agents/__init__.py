"""The agents on NVAs: signed messages over HTTPS."""
