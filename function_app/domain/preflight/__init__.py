"""What would break it?"""
