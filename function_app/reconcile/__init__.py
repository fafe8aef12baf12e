"""One pass over one topology, and the use cases around it. Knows the ports, not Azure."""
