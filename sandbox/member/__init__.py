"""The member's half: what Discord's client does before it sends something, and the API that pages and scripts speak."""
