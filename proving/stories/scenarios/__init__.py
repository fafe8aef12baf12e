"""The stories themselves, by the kind of topology."""
