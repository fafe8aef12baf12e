"""Which routes should be where, and are they?"""
