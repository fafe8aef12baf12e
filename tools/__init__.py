"""Tools that are no lab of Hopkeeper: what builds releases, a Functions host and a load balancer for one machine."""
