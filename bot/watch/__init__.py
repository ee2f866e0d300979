"""What whoever runs Easel can look at while it runs: a small web server of its own, for this machine alone by default.

Each module brings what it shows as routes of aiohttp; `__main__` hands them to `server.serving`. It looks and changes
nothing.
"""
