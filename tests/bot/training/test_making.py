"""Whether anything is trained is the operator's to say, and on which device: its engine has a neighbour then."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import settings
from bot.database import Database
from bot.engine import factory
from bot.engine.local import LocalEngine
from bot.errors import MemberError, OperatorError
from bot.training import making
from bot.training.store import Trainings
from tests.bot.training.test_store import ORDER

ENVIRON = {"DISCORD_TOKEN": "x", "EASEL_DEVICE": "cuda:0,cuda:1", "HF_TOKEN": "secret"}


def read(**environ: str) -> settings.Settings:
    return settings.read(ENVIRON | environ)


@pytest.mark.parametrize(("said", "device"), [("on", "cuda:0"), ("CUDA:1 ", "cuda:1"), ("cpu", None)])
async def test_the_engine_of_its_device_has_a_neighbour(
    database: Database, tmp_path: Path, said: str, device: str | None
) -> None:
    configured = read(EASEL_TRAIN=said, EASEL_DATA=str(tmp_path))
    engine = factory.build(configured, ENVIRON)
    assert isinstance(engine, LocalEngine)
    trainings = Trainings(database, tmp_path)
    runner = making.runner(configured, ENVIRON, engine, database, trainings)
    assert runner is not None
    assert runner._environ["EASEL_DEVICE"] == (device or "cpu")
    assert "HF_TOKEN" not in runner._environ
    neighbours = {name: engine._process(name).neighbour for name in ("cuda:0", "cuda:1")}
    assert [name for name, neighbour in neighbours.items() if neighbour is not None] == ([device] if device else [])
    # All lanes of it go through that.
    assert [type(lane.turn()).__name__ == "nullcontext" for lane in engine.lanes] == [
        name != device for name in ("cuda:0", "cuda:1") for _ in range(2)
    ]


@pytest.mark.parametrize("said", ["cuda:0", "cpu", "on"])
async def test_the_first_device_has_other_names_too(database: Database, tmp_path: Path, said: str) -> None:
    configured = read(EASEL_TRAIN=said, EASEL_DATA=str(tmp_path), EASEL_DEVICE="auto")
    engine = factory.build(configured, ENVIRON)
    assert isinstance(engine, LocalEngine)
    making.runner(configured, ENVIRON, engine, database, Trainings(database, tmp_path))
    assert engine._process("auto").neighbour is not None
    assert engine._process("cuda:1").neighbour is None


@pytest.mark.parametrize("changes", [{"EASEL_TRAIN": "off"}, {"EASEL_ENGINE": "ray:local", "EASEL_DEVICE": "auto"}])
async def test_where_nothing_is_trained_members_are_told(
    database: Database, tmp_path: Path, changes: dict[str, str]
) -> None:
    configured = read(**changes, EASEL_DATA=str(tmp_path))
    trainings = Trainings(database, tmp_path)
    assert making.runner(configured, ENVIRON, factory.build(configured, ENVIRON), database, trainings) is None
    with pytest.raises(MemberError, match="Nothing is trained here"):
        await trainings.add(ORDER, member_id=1, guild_id=None, channel_id=2)


@pytest.mark.parametrize("said", ["yes", "cuda:0,cuda:1", "cuda:", "tpu"])
def test_what_names_no_device_is_one_line(said: str) -> None:
    with pytest.raises(OperatorError, match="EASEL_TRAIN is .*set on, off, or one device"):
        read(EASEL_TRAIN=said)
