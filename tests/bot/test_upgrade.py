"""A newer Easel on the data of an older one: what the start says, and `make upgrade` in a checkout of its own."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot import upgrade
from bot.database import open_database
from bot.folder import DATABASE
from bot.keeping import backup, manifest, restore

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """What the first version wrote, as a start of this one leaves it."""
    data = Path(shutil.copytree(ROOT / "tests" / "bot" / "first", tmp_path / "data"))
    async with open_database(data / DATABASE):
        return data


def said(data: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        upgrade.tell(data)
    return [record.getMessage() for record in caplog.records]


def test_the_first_start_of_another_easel_says_so_once(
    data: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(manifest, "easel", lambda: "0.9.0")
    assert said(data, caplog) == ["this is Easel 0.9.0: CHANGELOG.md says what changed"]
    assert said(data, caplog) == []
    monkeypatch.setattr(manifest, "easel", lambda: "0.10.0")
    assert said(data, caplog) == ["upgraded from 0.9.0 to 0.10.0: CHANGELOG.md says what changed"]
    monkeypatch.setattr(manifest, "easel", lambda: "0.9.0")
    assert said(data, caplog) == ["went back from 0.10.0 to 0.9.0: CHANGELOG.md says what changed"]
    # Between two versions the list of changes tells.
    monkeypatch.setattr(upgrade, "CHANGELOG", changes := tmp_path / "CHANGELOG.md")
    changes.write_text("- Something new.\n")
    assert said(data, caplog) == ["another Easel 0.9.0 worked here last: CHANGELOG.md says what changed"]
    assert said(data, caplog) == []


def test_a_new_folder_and_one_that_cannot_be_written_say_nothing_of_an_upgrade(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(tmp_path, caplog) == []
    (tmp_path / upgrade.FILE).unlink()
    (tmp_path / upgrade.FILE).mkdir()
    [line] = said(tmp_path, caplog)
    assert "version.json cannot be written" in line
    (tmp_path / upgrade.FILE).rmdir()
    (tmp_path / upgrade.FILE).write_text("what a killed start left")
    assert said(tmp_path, caplog) == []


def test_a_restored_backup_says_which_easel_made_it(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "easel", lambda: "0.9.0")
    upgrade.tell(data)
    made = backup.make(data, tmp_path / "backups")
    restored = tmp_path / "restored"
    restore.bring_back(made.folder, restored, replace=False)
    monkeypatch.setattr(manifest, "easel", lambda: "1.0.0")
    assert said(restored, caplog) == ["upgraded from 0.9.0 to 1.0.0: CHANGELOG.md says what changed"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no history here that could be pulled")
def test_make_upgrade_backs_up_pulls_and_tells_the_way_back(data: Path, tmp_path: Path) -> None:
    def git(*arguments: str, of: Path) -> str:
        named = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        done = subprocess.run(["git", *named, *arguments], cwd=of, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    origin, checkout, backups = tmp_path / "origin", tmp_path / "checkout", tmp_path / "backups"
    git("clone", "-q", "--shared", str(ROOT), str(origin), of=tmp_path)
    shutil.copy(ROOT / "Makefile", origin / "Makefile")
    if git("status", "--porcelain", of=origin):
        git("commit", "-qam", "As it is here", of=origin)
    git("clone", "-q", "--shared", str(origin), str(checkout), of=tmp_path)
    # What `make setup` has made, as far as an upgrade that needs nothing new goes.
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    ready = checkout / ".venv" / ".ready"
    ready.touch()
    os.utime(ready, (time.time() + 60,) * 2)
    before = git("rev-parse", "--short", "HEAD", of=checkout)

    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "EASEL_DATA": str(data), "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}
        environ |= {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x"}
        command = ["make", "-s", "upgrade", *arguments]
        return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, timeout=120)

    nowhere = make()
    assert nowhere.returncode == 2
    assert "easel: say where the backup goes: make upgrade BACKUPS=/mnt/backups" in nowhere.stderr
    with (checkout / "models.toml").open("a") as stream:
        stream.write("# of the operator\n")
    same = make(f"BACKUPS={backups}")
    assert same.returncode == 0, same.stderr
    assert same.stdout.splitlines()[-1] == f"There is nothing newer than {before}."
    changes = (origin / "CHANGELOG.md").read_text()
    (origin / "CHANGELOG.md").write_text(changes.replace("## Unreleased\n\n", "## Unreleased\n\n- A new thing.\n"))
    git("commit", "-qam", "Do a new thing", of=origin)
    after = git("rev-parse", "--short", "HEAD", of=origin)
    newer = make(f"BACKUPS={backups}")
    assert newer.returncode == 0, newer.stderr
    assert newer.stdout.splitlines()[-4:] == [
        f"It is {after} now: start the bot anew. CHANGELOG.md says what changed since {before}:",
        "  - A new thing.",
        "The way back, with the bot stopped:",
        f"  git checkout {before} && make setup && .venv/bin/python -m bot restore {backups} --replace",
    ]
    assert (checkout / "models.toml").read_text().endswith("# of the operator\n")
    assert len(list(backups.glob("2*"))) == 2
    text = (origin / "models.toml").read_text()
    (origin / "models.toml").write_text(text + "# of Easel\n")
    git("commit", "-qam", "Do another", of=origin)
    both = make(f"BACKUPS={backups}")
    assert both.returncode == 2
    assert "what you changed was changed here too: mend these, then run make setup: models.toml" in both.stderr
