"""README's lines, from a fresh checkout to a bot that runs, is asked whether it is well, and is backed up."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.e2e.conftest import ROOT, Studio

LEFT = {".git", ".venv", ".env", "data", "build", "backups"}


def lines() -> list[str]:
    """What README says to type, for the real Discord."""
    section = (ROOT / "README.md").read_text().split("\n## On the real Discord\n")[1].split("\n## ")[0]
    return [line.partition("  #")[0].strip() for line in re.findall(r"^ {4}(.+)$", section, re.MULTILINE)]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """All of this checkout that is Easel's own, and no operator's; `make setup` has been here."""
    folder = tmp_path / "easel"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in LEFT:
            (folder / path.name).symlink_to(path)
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    ready = folder / ".venv" / ".ready"
    ready.touch()
    os.utime(ready, (time.time() + 60,) * 2)
    return folder


async def test_readmes_lines_lead_to_a_bot_that_runs_is_watched_and_is_backed_up(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = re.compile("EASEL_|DISCORD_|HF_")
    environ = {name: value for name, value in os.environ.items() if not own.match(name)}
    bot: asyncio.subprocess.Process | None = None

    async def typed(line: str) -> tuple[int, str, str]:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(line, cwd=checkout, env=environ, stdout=pipe, stderr=pipe)
        out, errors = await child.communicate()
        assert child.returncode is not None
        return child.returncode, out.decode(), errors.decode()

    async with Sandbox() as sandbox:
        seen = Studio(sandbox, checkout / "data")
        ends: dict[str, tuple[int, str, str]] = {}
        try:
            for line in lines():
                if line == ".venv/bin/python -m bot":
                    bot = await asyncio.create_subprocess_exec(*line.split(), cwd=checkout, env=environ)
                    await asyncio.wait_for(seen.online(), 120)
                    continue
                ends[line] = await typed(line)
                if line.startswith("cp "):
                    # Whoever reads puts the token there; this one's Discord, hub and card are of this machine alone.
                    dotenv = checkout / ".env"
                    text = dotenv.read_text().replace("DISCORD_TOKEN=", f"DISCORD_TOKEN={sandbox.token}")
                    text += f"DISCORD_API_BASE={sandbox.url}/api/v10\nEASEL_DEVICE=cpu\nEASEL_WATCH=127.0.0.1:{port}\n"
                    dotenv.write_text(f"{text}HF_ENDPOINT=http://127.0.0.1:9\n")
            assert bot is not None, "README says how it is started"
            bot.send_signal(signal.SIGTERM)
            assert await bot.wait() == 0
        finally:
            if bot is not None and bot.returncode is None:
                bot.kill()
                await bot.wait()
    fetching = [line for line in ends if " models fetch " in line]
    for line, (status, out, errors) in ends.items():
        # There is no hub here: what it would bring is tested where there is one.
        assert status == (2 if line in fetching else 0), (line, out, errors)
    [fetched] = fetching
    assert ends[fetched][2].startswith("easel: stabilityai/sdxl-turbo cannot be fetched: ")
    said = "\n".join(out for _, out, _ in ends.values())
    assert "/oauth2/authorize?" in said
    assert "ok     picture: starter painted one" in said
    assert "backed up to backups/" in said
    assert list((checkout / "backups").glob("2*/manifest.json"))
    assert len(ends) == 8
