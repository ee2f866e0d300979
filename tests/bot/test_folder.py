"""The data folder is one bot's alone."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot import folder
from bot.errors import OperatorError

ROOT = Path(__file__).parents[2]

HOLD = """
import sys, time
from pathlib import Path
from bot import folder
with folder.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_second_bot_is_told_and_a_killed_one_is_no_hindrance(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(OperatorError, match=rf"another Easel \(process {first.pid}\) works in"),
            folder.held(tmp_path),
        ):
            pass
        first.send_signal(signal.SIGKILL)
    with folder.held(tmp_path):
        pass


def test_folder_and_old_database_are_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    for name in ("easel.sqlite3", "easel.sqlite3-wal"):
        (data / name).write_text("")
        (data / name).chmod(0o644)
    with folder.held(data):
        assert mode(data) == 0o700
        assert {mode(file) for file in data.iterdir()} == {0o600}


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OperatorError, match="cannot write the data folder .*set EASEL_DATA"),
        folder.held(tmp_path / "file" / "data"),
    ):
        pass


def test_lock_is_not_handed_on_to_children(tmp_path: Path) -> None:
    child = "import os; print([os.path.realpath(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd')])"
    with folder.held(tmp_path):
        held = subprocess.run(
            [sys.executable, "-c", child], capture_output=True, text=True, check=True, close_fds=False
        )
    assert folder.LOCK not in held.stdout
