"""Storms over the ranked kinds: two Route Server instances, each with its best path, in place of a load balancer."""
