"""The bot answers before its engine is ready: what is accepted then is done, and what cannot be judged yet is said."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from sandbox.client.member import Member, text_of
from sandbox.server import Sandbox
from tests.e2e.asking import QUICK, finished, has_button, is_private, painted
from tests.e2e.conftest import ROOT, Studio
from tests.e2e.test_operator import run_bot
from tests.e2e.test_words import actions, in_chinese

pytestmark = pytest.mark.asyncio(loop_scope="module")

STOPPING = """
import atexit, gc, json, os, signal, sys, time
def leave():
    if "torch" in sys.modules:
        with open({modules!r}, "w") as file:
            json.dump([gc.isenabled(), *sys.modules], file)
atexit.register(leave)
class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and os.path.exists({flag!r}):
            # What it has said by then is written by another thread.
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGSTOP)
sys.meta_path.insert(0, Stopping())
"""
"""What Python runs at its start: while the flag is there, whoever begins to read torch is stopped before that. Who has
read it leaves behind what else it has read, and whether it looked for garbage in the end."""

NOT_FOR_THE_STARTER = {
    *("compel", "controlnet_aux", "c2pa", "lycoris", "ray", "skimage", "timm", "xformers"),
    "inference.networks.nsfw",
    "transformers.models.depth_anything.modeling_depth_anything",
    "transformers.models.florence2.modeling_florence2",
    "transformers.models.mobilenet_v2.modeling_mobilenet_v2",
}
"""What an engine has no need of that only paints with the starter."""


class Held(Studio):
    """A bot whose engine is stopped in the middle of every start, between its first words and `Ready`."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.catalogue = folder / "models.toml"
        shutil.copyfile(ROOT / "styles.toml", folder / "styles.toml")
        text = (ROOT / "models.toml").read_text().replace('"starter/models', f'"{ROOT}/starter/models')
        starter = text.partition("[models.starter]")[2].partition("\n[")[0]
        self.catalogue.write_text(f"{text}\n[models.other]{starter}\n")
        self._flag = folder / "flag"
        (folder / "hooks").mkdir()
        self.modules = folder / "modules.json"
        hook = STOPPING.format(flag=str(self._flag), modules=str(self.modules))
        (folder / "hooks" / "sitecustomize.py").write_text(hook)
        environ = {"EASEL_MODELS": str(self.catalogue), "PYTHONPATH": str(folder / "hooks"), "EASEL_THREADS": "1"}
        super().__init__(sandbox, folder / "data", **environ)

    async def begin(self) -> psutil.Process:
        """Start the bot, and wait until it answers and its engine stands still, which is returned."""
        self._flag.touch()
        await self.start(engine=False)
        async with asyncio.timeout(60):
            while True:
                for process in map(psutil.Process, self.engines()):
                    if process.status() == psutil.STATUS_STOPPED:
                        return process
                await asyncio.sleep(0.05)

    def let_go(self, engine: psutil.Process) -> None:
        """Let it start."""
        self._flag.unlink()
        engine.resume()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    async with Sandbox() as sandbox:
        opened = Held(sandbox, tmp_path_factory.mktemp("held"))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def mei(studio: Held) -> AsyncIterator[Member]:
    async with Member(studio.sandbox.url, "Mei") as member:
        yield member


async def test_of_a_new_engine_is_said_that_it_starts_and_of_a_known_one_jobs_are_accepted(
    studio: Held, ada: Member, mei: Member, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = await studio.begin()
    assert await studio.says() == "the engine is starting"
    [said] = await said_by_doctor(capfd)
    assert said.startswith("all is well: database, token, data folder, disk, clock, server ")
    # Nothing is known of it yet.
    refused = await ada.command(f"/imagine prompt:a red house {QUICK}")
    assert is_private(refused)
    assert text_of(refused.message) == "Easel is just being started: try again in a minute."
    assert await ada.complete("imagine", "model", model="st") == []
    assert "None of your jobs waits or runs." in text_of((await ada.command("/queue")).message)
    studio.let_go(engine)
    await studio.online()
    _, [picture] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:1"))
    await studio.stop()
    collects, *modules = json.loads(studio.modules.read_text())
    assert collects
    assert "diffusers" in modules
    assert not NOT_FOR_THE_STARTER & set(modules)

    engine = await studio.begin()
    accepted = await ada.command(f"/imagine prompt:a red house {QUICK} seed:1")
    assert "the engine is starting" in text_of(accepted.message)
    assert not is_private(accepted)
    assert [choice["value"] for choice in await ada.complete("imagine", "model", model="st")] == ["starter", "other"]
    refused = await ada.command("/imagine prompt:a house steps:900")
    assert is_private(refused)
    chinese = await mei.command(f"/imagine prompt:房 {QUICK}")
    assert in_chinese("the engine is starting") in text_of(chinese.message)
    listed = await mei.settled(await mei.command("/queue"), quiet_s=0.5)
    assert in_chinese("the engine is starting") in text_of(listed.message)
    gone = await ada.command(f"/imagine prompt:a red house model:other {QUICK}")
    cancelled = await ada.command(f"/imagine prompt:a cat {QUICK}")
    await ada.click(cancelled.message, "Cancel", until="acknowledged")
    assert "Cancelled." in text_of(await finished(ada, cancelled))

    # The bot is killed, its engine with it, and meanwhile the catalogue is changed.
    await studio.stop(signal.SIGKILL)
    engine.kill()
    studio.catalogue.write_text(studio.catalogue.read_text().partition("[models.other]")[0])
    engine = await studio.begin()
    refused = await mei.command(f"/imagine prompt:房 {QUICK}")
    assert text_of(refused.message) == in_chinese("Easel is just being started: try again in a minute.")
    await ada.wait_for(accepted.message, lambda message: "the engine is starting" in text_of(message))
    # An engine that dies before it was ready ends the bot: its operator is told.
    engine.kill()
    assert await studio.ended() == 2
    sound = studio.catalogue.read_text()
    studio.catalogue.write_text("[models.starter\n")
    ended = await asyncio.to_thread(
        run_bot,
        tmp_path,
        EASEL_DATA=str(studio.data),
        EASEL_MODELS=str(studio.catalogue),
        DISCORD_TOKEN=studio.sandbox.token,
        DISCORD_API_BASE=f"{studio.sandbox.url}/api/v10",
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert ended.stderr.startswith(f"easel: {studio.catalogue}")
    studio.catalogue.write_text(sound)

    # What was accepted is done after the next start that comes to its end.
    studio.let_go(await studio.begin())
    assert (await painted(ada, accepted))[1] == [picture]
    failed = await finished(ada, gone)
    assert "There is no model called 'other'" in text_of(failed)
    assert has_button(failed, "Try again")
    await mei.wait_for(chinese.message, lambda message: "reroll" in actions(message))
    assert await studio.says() == ""
    assert await studio.problems() == []


async def test_start_says_in_the_log_what_is_wrong(
    studio: Held, ada: Member, capfd: pytest.CaptureFixture[str]
) -> None:
    await studio.close()
    # View Channels and Send Messages alone.
    await ada.faults(bot_permissions=str(1 << 10 | 1 << 11))
    try:
        await studio.begin()
        lines = await said_by_doctor(capfd)
        assert len(lines) == 2
        assert all("lacks the permissions attach files, read message history" in line for line in lines)
    finally:
        await ada.faults(bot_permissions=None)


async def said_by_doctor(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What a start says of what it has looked at."""
    said = ""
    async with asyncio.timeout(60):
        while "bot.doctor: " not in said:
            await asyncio.sleep(0.05)
            said += capfd.readouterr().err
    return [line.partition("bot.doctor: ")[2] for line in said.splitlines() if "bot.doctor: " in line]
