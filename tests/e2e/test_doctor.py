"""What `python -m bot doctor` says of a set-up that is well, and of each thing that is not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio

from bot import doctor, folder, settings
from sandbox.client.member import Member
from sandbox.server import Sandbox
from tests.e2e.conftest import ROOT
from tests.e2e.test_operator import run_bot

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as opened:
        yield opened


async def examined(sandbox: Sandbox, tmp_path: Path, **environ: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    """The exit status, and of each thing whether it is well and what is said."""
    api = {"DISCORD_TOKEN": sandbox.token, "DISCORD_API_BASE": f"{sandbox.url}/api/v10", "EASEL_DEVICE": "cpu"}
    ended = await asyncio.to_thread(run_bot, tmp_path, "doctor", **(api | environ))
    lines = [line.partition(": ") for line in ended.stdout.splitlines()]
    assert lines, ended.stderr
    return ended.returncode, {head[5:].strip(): (head.startswith("ok"), said) for head, _, said in lines}


async def test_all_is_well_and_nothing_is_left_behind(sandbox: Sandbox, tmp_path: Path) -> None:
    status, found = await examined(sandbox, tmp_path)
    assert status == 0, found
    assert all(well for well, _ in found.values())
    assert {"data folder", "disk", "database", "certificate", "clock", "token", "models", "picture"} < found.keys()
    assert found["certificate"] == (True, "none yet: the first start makes it")
    assert found["programs"] == (True, "none are served: EASEL_SERVE is not set")
    assert [name for name in found if name.startswith("server ")]
    assert found["picture"][1].startswith("starter painted one on CPU")
    assert not (tmp_path / "data").exists()


async def test_each_thing_that_is_wrong_is_said_and_the_others_are_looked_at(sandbox: Sandbox, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / folder.DATABASE).write_bytes(b"no database" * 500)
    starter = tmp_path / "starter" / "models"
    shutil.copytree(ROOT / "starter" / "models", starter)
    weights = max(starter.joinpath("picture").rglob("*.safetensors"), key=lambda file: file.stat().st_size)
    weights.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "models.toml").write_text((ROOT / "models.toml").read_text().replace('"starter/models', f'"{starter}'))
    shutil.copyfile(ROOT / "styles.toml", tmp_path / "styles.toml")
    async with Member(sandbox.url, "Ada") as ada:
        # View Channels and Send Messages alone.
        await ada.faults(bot_permissions=str(1 << 10 | 1 << 11))
        try:
            # Held as by a bot that runs.
            with folder.held(data):
                status, found = await examined(sandbox, tmp_path, EASEL_MODELS=str(tmp_path / "models.toml"))
        finally:
            await ada.faults(bot_permissions=None)
    assert status == 1, found
    wrong = {name: said for name, (well, said) in found.items() if not well}
    assert "is damaged (file is not a database)" in wrong.pop("database")
    assert "picture" in wrong.pop("models")
    assert wrong
    assert all(name.startswith("server ") for name in wrong)
    [said] = set(wrong.values())
    assert "lacks the permissions attach files, read message history, send messages in threads: give them" in said
    assert found["picture"] == (True, "not tried: a bot works here, and its cards are its own")


async def test_wrong_token_and_a_model_that_is_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[models.gone]\ntitle = "Gone"\nfamily = "sd1"\npath = "/nowhere"\n', encoding="utf-8"
    )
    environ = {"DISCORD_TOKEN": "wrong", "EASEL_MODELS": str(tmp_path / "models.toml")}
    status, found = await examined(sandbox, tmp_path, **environ)
    assert status == 1
    assert found["token"][0] is False
    assert "copy the bot's token again" in found["token"][1]
    assert not [name for name in found if name.startswith("server")]
    assert found["picture"][0] is False
    assert "gone" in found["picture"][1], "which the engine has said"


async def test_full_disk_wrong_clock_and_no_network_are_said(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def early(api: str) -> dict[str, doctor.Finding]:
        environ = {"DISCORD_TOKEN": "wrong", "DISCORD_API_BASE": api, "EASEL_DATA": str(tmp_path)}
        found: dict[str, doctor.Finding] = {}
        async for finding in doctor.examine(settings.read(environ), environ):
            found[finding.what] = finding
            if finding.what == "clock":
                break
        return found

    api = f"{sandbox.url}/api/v10"
    assert all(finding.well for finding in (await early(api)).values())
    monkeypatch.setattr(folder, "ROOM_GB", 1e9)
    # The sandbox is in this process, and keeps its time.
    monkeypatch.setattr("bot.doctor.time", SimpleNamespace(time=lambda: time.time() - 60))
    found = await early(api)
    assert "make room" in found["disk"].said
    assert "s from Discord's: let the system keep its time" in found["clock"].said
    assert not found["clock"].well
    assert "is there a network?" in (await early("http://127.0.0.1:1/api"))["clock"].said
    assert not doctor._data_folder(Path("/proc/nothing")).well
