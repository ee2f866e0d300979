"""The process that has read the engine's libraries and forks engines, for one worker of the tests.

    python -m tests.forkserver.server FOLDER

It listens at FOLDER/socket and says "ready"; it ends with its input, and takes the folder along.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ABOVE = 200
"""Descriptors below are free for the numbers that an engine is told."""


@dataclass(frozen=True)
class Wanted:
    """An engine that is to be run, by the process that was forked for it."""

    arguments: list[str]
    environ: dict[str, str]
    folder: str
    fds: dict[int, int]
    """By the number that it is to have."""

    def run(self) -> None:
        """Be `python -m inference`, to the end of the process."""
        for number, fd in self.fds.items():
            os.dup2(fd, number, inheritable=True)
            os.close(fd)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environ)
        sys.argv = ["-m", *self.arguments]
        sys.path[0] = self.folder
        try:
            runpy.run_module("inference", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            # All that an end brings but for the last: to take the libraries apart, which are here copied for that.
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1)


@dataclass
class Server:
    folder: Path
    _heard: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _engines: dict[int, tuple[int, int, socket.socket]] = field(default_factory=dict)
    """By process, who stands for it, what tells of its end, and the connection to who stands for it."""

    def serve(self) -> Wanted | None:
        """Fork engines until the input ends; returns in each of them what it is to run, and in the server None."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(self.folder / "socket"))
        listening.listen(64)
        self._heard.register(0, selectors.EVENT_READ)
        self._heard.register(listening, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in self._heard.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is listening:
                    client, _ = listening.accept()
                    wanted = self._fork(client)
                    if wanted is not None:
                        listening.close()
                        return wanted
                elif isinstance(key.fileobj, socket.socket):
                    self._abandoned(key.fileobj, key.data)
                else:
                    self._ended(key.data)

    def end(self) -> None:
        """Kill what still runs and remove the folder."""
        for process in self._engines:
            _kill(process)
        shutil.rmtree(self.folder)

    def _fork(self, client: socket.socket) -> Wanted | None:
        """An engine for who asks; returns in that process what it is to run."""
        data, fds, _, _ = socket.recv_fds(client, 2**17, 4)
        if not data:
            client.close()
            return None
        told: dict[str, Any] = json.loads(data)
        asking, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        process = os.fork()
        if process == 0:
            # As of a process of its own, with nothing of the server's open.
            os.setsid()
            self._heard.close()
            client.close()
            for _, pidfd, other in self._engines.values():
                os.close(pidfd)
                other.close()
            moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, ABOVE) for fd in fds]
            for fd in fds:
                os.close(fd)
            numbers = (0, 1, 2, told["fd"])
            return Wanted(told["arguments"], told["environ"], told["folder"], dict(zip(numbers, moved, strict=True)))
        for fd in fds:
            os.close(fd)
        written = self.folder / f"{asking}"
        written.write_text(str(process))
        written.rename(self.folder / "engines" / str(asking))
        pidfd = os.pidfd_open(process)
        self._engines[process] = asking, pidfd, client
        self._heard.register(pidfd, selectors.EVENT_READ, process)
        self._heard.register(client, selectors.EVENT_READ, process)
        return None

    def _abandoned(self, client: socket.socket, process: int) -> None:
        """Who stood for an engine is dead: so is the engine."""
        self._heard.unregister(client)
        _kill(process)

    def _ended(self, process: int) -> None:
        asking, pidfd, client = self._engines.pop(process)
        self._heard.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(process, 0)
        (self.folder / "engines" / str(asking)).unlink()
        if client in self._heard.get_map():
            self._heard.unregister(client)
            client.send(str(status).encode())
        client.close()


def _kill(process: int) -> None:
    """End an engine and what it has started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def read_libraries() -> None:
    """Import all that the engine imports, and forget what of it is Easel's own."""
    # As `python -m inference --fd` has it.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import diffusers

    import inference
    from inference.families import FAMILIES

    for found in pkgutil.walk_packages(inference.__path__, "inference."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for family in FAMILIES.values():
        getattr(diffusers, family.pipeline)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("inference", "tests")]:
        del sys.modules[name]
    gc.collect()
    # What is never written to is never copied.
    gc.freeze()


def main(folder: Path) -> None:
    read_libraries()
    environ = folder / "environ.json"
    environ.write_text(json.dumps({**json.loads(environ.read_text()), "server": dict(os.environ)}))
    server = Server(folder)
    wanted = server.serve()
    if wanted is None:
        server.end()
    else:
        wanted.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
