"""Who peers with a Route Server, and in which order is that changed?"""
