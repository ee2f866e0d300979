"""The whole bot with its engine in a Ray cluster of this machine alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from sandbox.client.member import Member, text_of
from tests.e2e.asking import QUICK, forgotten, number, painted
from tests.e2e.conftest import ROOT, Studio, running
from tests.e2e.test_engines import LONG, attempts

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[ray]'")

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRON = {"EASEL_ENGINE": "ray:local", "EASEL_THREADS": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with running(tmp_path_factory.mktemp("data"), cold=True, **ENVIRON) as opened:
        yield opened


async def test_picture_is_painted_in_the_cluster_again_after_its_actor_was_killed(studio: Studio, ada: Member) -> None:
    first, [quick] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    reply = await ada.command(f"/imagine prompt:a red house {LONG} seed:7")
    await ada.wait_for(reply.message, lambda message: "▰" in text_of(message))
    [actor] = [each for each in studio.processes() if each.name().startswith("ray::Host")]
    actor.kill()
    message, pictures = await painted(ada, reply)
    assert len(pictures) == 4
    assert attempts(studio, number(message)) == [1]
    await forgotten(ada, first)
    _, [again] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    assert again == quick


async def test_operator_sees_the_cluster_while_the_bot_runs(studio: Studio) -> None:
    shown = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bot", "cluster"],
        cwd=ROOT,
        env=os.environ | {**ENVIRON, "DISCORD_TOKEN": "t", "EASEL_DATA": str(studio.data), "EASEL_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("here") == 1
    assert "starter" in shown.stdout


async def test_cluster_ends_with_the_bot(studio: Studio) -> None:
    started = studio.processes()
    assert len(started) > 5
    assert await studio.stop() == 0
    _, left = await asyncio.to_thread(psutil.wait_procs, started, 60)
    assert not left
