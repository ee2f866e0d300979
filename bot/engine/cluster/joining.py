"""How a process of ours comes into a Ray cluster. Not for the bot's own process, nor imported by it."""

from __future__ import annotations

import logging
import os
import socket
from importlib.util import find_spec
from typing import Any

from bot.errors import OperatorError

NAMESPACE = "easel"
"""Of our actors' names."""

LOCAL = "local"
"""Instead of an address: a cluster of this machine alone, for as long as this process lives."""

KNOCK_S = 10.0

AUTH_MODE = "RAY_AUTH_MODE"
"""Of the environment: whether Ray's token is asked for and shown. It has to be the same throughout a cluster."""

STORE_BYTES = 512 * 2**20
"""What a local cluster keeps pictures in that are on their way."""


def join(address: str, *, heard: bool) -> Any:
    """Be a driver of the cluster at this address; returns the module `ray`. `heard` where what our actors there write
    to stderr shall be written to this process's too.

    Raises OperatorError where Ray is not installed or there is no such cluster.
    """
    if find_spec("ray") is None:
        raise OperatorError(
            "EASEL_ENGINE names a Ray cluster: pip install -c constraints.txt '.[ray]', or set it to local"
        )
    _knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    given: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": heard, "logging_level": logging.ERROR}
    if address == LOCAL:
        given |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(address=address, **given)
    except Exception as error:  # of many kinds, depending on how far it came
        reason = str(error).partition("\n")[0] or type(error).__name__
        # Ray shows its token by itself to a cluster that it has found, and not to one that it was told of.
        hint = "" if AUTH_MODE in os.environ else f" (where it wants a token: {AUTH_MODE}=token)"
        raise OperatorError(f"the Ray cluster {address} cannot be joined: {reason}{hint}") from error
    return ray


def _knock(address: str) -> None:
    """Raise OperatorError where nobody listens at this address: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OperatorError(f"no Ray cluster answers at {address}: {reason.lower()}") from error
