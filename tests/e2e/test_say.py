"""`python -m sandbox say`: a picture from the shell, with everything started and stopped for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests import forkserver
from tests.e2e.asking import picture
from tests.e2e.conftest import ROOT


def test_say_starts_everything_prints_the_reply_and_saves_the_picture(tmp_path: Path) -> None:
    command = "/imagine prompt:a red house seed:7 steps:4"
    ended = subprocess.run(
        [
            forkserver.python(),
            "-m",
            "sandbox",
            "say",
            command,
            "--out",
            str(tmp_path / "out"),
            "--data",
            str(tmp_path / "data"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "a red house" in ended.stdout
    assert "seed 7" in ended.stdout
    [saved] = (tmp_path / "out").iterdir()
    assert picture(saved.read_bytes()).info["parameters"].startswith("a red house\n")
