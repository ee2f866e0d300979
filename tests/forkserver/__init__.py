"""A Python for tests that start Easel again and again: what of it is the engine need not read its libraries anew.

torch, diffusers and what else the engine imports take it longer than most tests. One process reads them, once for each
worker of the tests, and every engine is a fork of it that runs `python -m inference` from the first line on: Easel's
own modules, the settings, the models and the end of the process are as they always are. Whatever else this Python is
asked for, and an engine whose environment its libraries would read otherwise, is started by the real one.

Tests that are about the start itself, or about what differs from one process to another, use `sys.executable`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot import environment

ROOT = Path(__file__).parents[2]

LAUNCHER = Path(__file__).with_name("launcher.py")


@functools.cache
def python() -> str:
    """The path of such a Python, which is there until the tests are over; to be used as `sys.executable` is.

    Where there is a card, it is the real one: a driver that libraries have asked for something outlives no fork.
    """
    if Path("/dev/nvidiactl").exists():
        return sys.executable
    home = Path(tempfile.mkdtemp(prefix="easel-python-"))
    (home / "bin").mkdir()
    (home / "engines").mkdir()
    real = Path(sys.executable).absolute()
    # To what it starts it is a virtual environment with the same packages.
    (home / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (home / "lib").symlink_to(Path(sys.prefix).absolute() / "lib")
    (home / "bin" / "real").symlink_to(real)
    launcher = home / "bin" / "python"
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    launcher.write_text(f"#!{base} -IS\n{LAUNCHER.read_text()}")
    launcher.chmod(0o700)
    needed = environment.of_engine(os.environ)
    (home / "environ.json").write_text(json.dumps({"needed": list(needed), "tests": dict(os.environ)}))
    server = subprocess.Popen(
        [real, "-m", "tests.forkserver.server", home],
        cwd=ROOT,
        env=needed,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the libraries cannot be read"
    atexit.register(_end, server)
    return str(launcher)


@contextmanager
def held() -> Iterator[None]:
    """Let no engine start meanwhile, for a test of what is said of that. (The real Python takes its time.)"""
    if python() == sys.executable:
        yield
        return
    sign = Path(python()).parents[1] / "held"
    sign.touch()
    try:
        yield
    finally:
        sign.unlink()


def _end(server: subprocess.Popen[bytes]) -> None:
    # It ends with its input, also where these tests are killed, and takes its folder with it.
    server.communicate()


def engine_of(process: int) -> int:
    """The engine for which a process stands that this Python was started as; else the process itself."""
    if python.cache_info().currsize == 0:
        return process
    try:
        # Where it is the real one there is no such folder.
        return int((Path(python()).parents[1] / "engines" / str(process)).read_text())
    except FileNotFoundError:
        return process
