"""Services without a load balancer: the holder is named by the shortest AS path."""
