"""The runner of trainings as the operator's settings have it."""

from __future__ import annotations

from collections.abc import Mapping

from bot import environment
from bot.database import Database
from bot.engine.interface import Engine
from bot.engine.local import LocalEngine
from bot.settings import Settings
from bot.training.progress import Progress
from bot.training.runner import Runner
from bot.training.store import Trainings
from bot.training.turns import Turns
from inference.protocol import AUTO


def runner(
    settings: Settings, environ: Mapping[str, str], engine: Engine, database: Database, trainings: Trainings
) -> Runner | None:
    """What trains here; None where EASEL_TRAIN says nobody does, or the engines are in a cluster. Call it before the
    engine is started, whose device it shares."""
    if settings.easel_train == "off" or not isinstance(engine, LocalEngine):
        trainings.is_offered = False
        return None
    turns, first = Turns(), settings.easel_device[0]
    device = first if settings.easel_train == "on" else settings.easel_train
    # Which card or processor these are is known only once the engine is ready: the first one.
    engine.share(first if first in (AUTO, "cuda") and device in ("cuda:0", "cpu") else device, turns)
    own = {**environment.of_engine(environ), "EASEL_DEVICE": device}
    return Runner(trainings, Progress(database, trainings), turns, own, up=engine.shared_is_up, spare=engine.spare)
