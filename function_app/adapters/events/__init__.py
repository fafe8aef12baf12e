"""Events that Hopkeeper publishes."""
