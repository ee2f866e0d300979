"""Discord's gateway, version 10: what is kept of a bot that is connected, and what one that comes is told.

`serving` puts the parts together.
"""
