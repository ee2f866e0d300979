"""Inference processes on the machines of a Ray cluster.

`watch` tells which places for engines the cluster has; `bridge` stands on this machine for one engine in one of them,
and speaks with the bot as that engine would; `host`, an actor, is where the engine is. The bot itself does not import
Ray: what that library does to a process whose cluster falls is done to `watch` and `bridge`, which are started again.
"""
