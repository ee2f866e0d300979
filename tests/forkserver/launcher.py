"""What stands at the place of a Python: has an engine forked, and is the real one for everything else.

It stands for the engine: it ends as that ends, and takes it along where it is killed. Here is nothing but the standard
library, and little of that.
"""

from __future__ import annotations

import os
import sys

HOME = os.path.dirname(os.path.dirname(sys.argv[0]))  # noqa: PTH120 - pathlib takes as long as all the rest

UNREAD = ("EASEL_", "DISCORD_", "PYTEST_", "PYTHONBREAKPOINT", "CUDA_VISIBLE_DEVICES")
"""What variables begin with that libraries do not read while they are imported."""


def is_engine(arguments: list[str]) -> bool:
    """Whether an engine is started, in an environment that means to its libraries what the server's does."""
    if arguments[:2] != ["-m", "inference"] or "--fd" not in arguments:
        return False
    import json

    with open(f"{HOME}/environ.json") as file:  # noqa: PTH123
        known = json.load(file)
    needed = {name for name in known["needed"] if not name.startswith(UNREAD)}
    # Libraries set some in the process that imports them, be it the tests' or the server.
    return needed <= os.environ.keys() and all(
        value in (known["tests"].get(name), known["server"].get(name))
        for name, value in os.environ.items()
        if not name.startswith(UNREAD)
    )


def stand_for_engine(arguments: list[str]) -> None:
    """Have it forked, wait for its end, and end so."""
    import json
    import signal
    import socket
    import time

    while os.path.exists(f"{HOME}/held"):  # noqa: PTH110
        time.sleep(0.05)
    fd = int(arguments[arguments.index("--fd") + 1])
    wanted = {"arguments": arguments[2:], "environ": dict(os.environ), "folder": os.getcwd(), "fd": fd}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(f"{HOME}/socket")
        socket.send_fds(server, [json.dumps(wanted).encode()], [0, 1, 2, fd])
        # Whoever is at the other end is to hear that the engine has hung up.
        os.close(fd)
        status = int(server.recv(16))
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    if is_engine(sys.argv[1:]):
        stand_for_engine(sys.argv[1:])
    os.execv(f"{HOME}/bin/real", sys.argv)
