"""What the operator reads when something has to be put right first: one line on stderr, exit status 2."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot import folder
from sandbox.server import Sandbox
from tests.e2e.conftest import ROOT, Studio
from tests.inference import certificates as throw_away


def run_bot(tmp_path: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the bot to its end, in the checkout, with these variables."""
    inherited = {name: value for name, value in os.environ.items() if name != "DISCORD_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "bot", *words],
        cwd=ROOT,
        env=inherited | {"EASEL_DATA": str(tmp_path / "data"), "EASEL_LOG_LEVEL": "ERROR"} | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "DISCORD_TOKEN is not set"),
        ({"DISCORD_TOKEN": "t", "EASEL_MODELS": "/nowhere/models.toml"}, "/nowhere/models.toml"),
        ({"DISCORD_TOKEN": "t", "EASEL_DATA": "/dev/null/data"}, "cannot write the data folder"),
        ({"DISCORD_TOKEN": "t", "EASEL_DEVICE": "toaster"}, "EASEL_DEVICE"),
        ({"DISCORD_TOKEN": "t", "EASEL_DEVICE": "cpu,cuda:99"}, "EASEL_DEVICE=cuda:99: torch sees"),
        ({"DISCORD_TOKEN": "t", "EASEL_ENGINE": "ray:127.0.0.1:1"}, "no Ray cluster answers at 127.0.0.1:1"),
        (
            {"DISCORD_TOKEN": "t", "EASEL_WATERMARK": "faint", "EASEL_LOG_FORMAT": "json"},
            '"level": "CRITICAL", "logger": "__main__", "message": "EASEL_WATERMARK=',
        ),
        ({"DISCORD_TOKEN": "t", "EASEL_C2PA_CERT": "/a.pem", "EASEL_C2PA_KEY": "/b.pem"}, "EASEL_C2PA_CERT=/a.pem"),
        ({"DISCORD_TOKEN": "t", "EASEL_MAX_WAITING": "many"}, "EASEL_MAX_WAITING is 'many'"),
        ({"DISCORD_TOKEN": "t", "EASEL_DIRECT_MESSAGES": "no"}, "EASEL_DIRECT_MESSAGES is 'no': set on or off"),
    ],
)
def test_bad_set_up_is_one_line_and_status_2(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    ended = run_bot(tmp_path, **environ)
    assert ended.returncode == 2, ended.stderr
    # It connects beside the engine's start, and says so where it cannot.
    said = [line for line in ended.stderr.splitlines() if "cannot reach Discord at https://discord.com" not in line]
    assert len(said) == 1, ended.stderr
    assert words in said[0]


async def test_wrong_token_is_one_line_and_status_2(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        ended = await asyncio.to_thread(
            run_bot, tmp_path, DISCORD_TOKEN="wrong", DISCORD_API_BASE=f"{sandbox.url}/api/v10"
        )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        "easel: Discord does not accept DISCORD_TOKEN: copy the bot's token again from"
        " https://discord.com/developers/applications\n"
    )


def test_second_bot_on_the_same_data_is_one_line_and_status_2(tmp_path: Path) -> None:
    with folder.held(tmp_path / "data"):
        ended = run_bot(tmp_path, DISCORD_TOKEN="t")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert f"another Easel (process {os.getpid()}) works in the data folder" in ended.stderr


async def test_catalogue_that_breaks_while_the_bot_runs_ends_it_when_the_engine_must_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text((ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models'))
    monkeypatch.setenv("EASEL_MODELS", str(catalogue))
    async with Sandbox() as sandbox:
        studio = Studio(sandbox, tmp_path / "data")
        try:
            await studio.start()
            catalogue.write_text("[models.starter\n")
            studio.kill_engine()
            assert await studio.ended() == 2
        finally:
            await studio.close()
    assert capfd.readouterr().err.splitlines()[-1].startswith("easel: ")


async def test_port_in_use_is_one_line_and_status_2(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        port = sandbox.url.rsplit(":", 1)[1]
        command = [sys.executable, "-m", "sandbox", "demo", "--port", port, "--data", str(tmp_path)]
        ended = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr


def test_certificate_that_cannot_sign_is_said_while_discord_is_not_reached(tmp_path: Path) -> None:
    chain, key = throw_away.write(tmp_path, purposes=False)
    ended = run_bot(
        tmp_path,
        DISCORD_TOKEN="t",
        DISCORD_API_BASE="http://127.0.0.1:1",
        EASEL_C2PA_CERT=str(chain),
        EASEL_C2PA_KEY=str(key),
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"easel: EASEL_C2PA_CERT={chain} and EASEL_C2PA_KEY={key} cannot")
