"""How should networks be connected?"""
