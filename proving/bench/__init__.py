"""How fast the app is, each case beside its floor: what the same work costs without it, in turns in one run."""
