"""What was written down, and is it possible?"""
