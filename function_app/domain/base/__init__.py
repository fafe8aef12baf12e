"""What everything else stands on: errors, refusals, times, Azure's limits."""
