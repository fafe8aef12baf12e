"""Azure Monitor: health metrics and logged events, which only explain."""
