"""The Python that forks engines: what it starts behaves as a process of the real one does, whoever kills what."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from inference.protocol import INCOMING, PICTURES
from tests import forkserver
from tests.inference.peer import Peer, environment

pytestmark = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="With a card nothing is forked")

ROOT = Path(__file__).parents[1]
WITHIN_S = 60.0


class Engine:
    """An engine as the bot starts one."""

    def __init__(self, data: Path, **changes: str) -> None:
        for folder in (PICTURES, INCOMING):
            (data / folder).mkdir()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [forkserver.python(), "-m", "inference", "--data", data, "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(ROOT / "models.toml", **changes),
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        self.peer = Peer(ours)

    def forked(self) -> psutil.Process:
        """The engine itself."""
        return psutil.Process(forkserver.engine_of(self.process.pid))


@contextmanager
def started(data: Path, **changes: str) -> Iterator[Engine]:
    """An engine, hung up on at the end."""
    engine = Engine(data, **changes)
    try:
        yield engine
    finally:
        engine.peer.socket.close()
        engine.process.communicate(timeout=WITHIN_S)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with started(tmp_path) as engine:
        assert engine.peer.ready().default_model == "starter"
        yield engine


def test_an_engine_is_a_fork_in_a_session_of_its_own_with_what_it_was_given(engine: Engine, tmp_path: Path) -> None:
    forked = engine.forked()
    assert forked.pid != engine.process.pid
    assert os.getsid(forked.pid) == forked.pid
    assert forked.cwd() == str(ROOT)
    # Standard input, output and error, the bot's socket, and nothing of the server's but what Python keeps.
    assert len(forked.net_connections("all")) == 1
    assert forkserver.engine_of(os.getpid()) == os.getpid()


def test_it_ends_as_the_engine_ends(engine: Engine) -> None:
    engine.peer.socket.shutdown(socket.SHUT_RDWR)
    assert engine.process.wait(WITHIN_S) == 0
    assert engine.process.stderr is not None
    assert engine.process.stderr.read() == ""


def test_it_ends_by_the_signal_that_ends_the_engine(engine: Engine) -> None:
    engine.forked().kill()
    assert engine.process.wait(WITHIN_S) == -signal.SIGKILL


def test_it_takes_the_engine_along(engine: Engine) -> None:
    forked = engine.forked()
    os.killpg(engine.process.pid, signal.SIGKILL)
    assert psutil.wait_procs([forked], timeout=WITHIN_S) == ([forked], [])


def test_an_engine_that_cannot_run_ends_in_its_own_words(tmp_path: Path) -> None:
    with started(tmp_path, EASEL_DEVICE="gpu") as engine:
        _, words = engine.process.communicate(timeout=WITHIN_S)
    assert engine.process.returncode == 2
    assert words.startswith("easel: EASEL_DEVICE='gpu'")


def test_whatever_libraries_would_read_otherwise_is_started_by_the_real_python(tmp_path: Path) -> None:
    with started(tmp_path, TORCH_LOGS="+dynamo") as engine:
        process = psutil.Process(engine.process.pid)
        # The launcher has options of its own there.
        while process.cmdline()[1:3] != ["-m", "inference"]:
            assert forkserver.engine_of(process.pid) == process.pid
            time.sleep(0.01)
        engine.process.kill()


def test_everything_else_is_done_by_the_real_python_with_its_packages() -> None:
    code = "import sys, discord; print(sys.executable, sys.argv, sys.flags.safe_path); sys.exit(3)"
    done = subprocess.run([forkserver.python(), "-P", "-c", code, "a b"], capture_output=True, text=True)
    assert done.stdout.split(maxsplit=1) == [forkserver.python(), "['-c', 'a b'] True\n"]
    assert done.returncode == 3
