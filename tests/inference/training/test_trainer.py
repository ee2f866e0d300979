"""The trainer's end of the socket, and what it says of what cannot be trained."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inference import settings
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import PeerBroken
from inference.exchange.control import Control
from inference.operating import trainer
from inference.protocol import (
    MEMBERS_WEIGHT,
    Go,
    Held,
    Hold,
    Stop,
    Train,
    TrainerEvent,
    TrainerMessage,
    TrainingFailed,
    TrainingOptions,
    TrainingOrder,
    TrainingStopped,
    frame_bytes,
    pack,
    unpack_trainer_event,
)
from inference.training import datasets, runs
from inference.training.checkpoints import State
from inference.training.resting import Resting
from tests.inference.cards import card
from tests.inference.training import made

ORDER = TrainingOrder(
    name="spotted",
    kind="style",
    trigger="zqx",
    consent="made by this test",
    license="MIT",
    model="starter",
    options=TrainingOptions(),
)


class Bot:
    """The bot's end."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self._reading = ours.makefile("rb")

    def say(self, *messages: TrainerMessage) -> None:
        self.socket.sendall(b"".join(map(pack, messages)))

    def hear(self) -> TrainerEvent:
        return unpack_trainer_event(self._reading.read(frame_bytes(self._reading.read(4))))

    def hang_up(self) -> None:
        # The file that reads shares the descriptor.
        self.socket.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def ends() -> Iterator[tuple[Bot, Control]]:
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        yield Bot(ours), Control(theirs)


def order(folder: Path, **changes: object) -> Train:
    return Train(msgspec.structs.replace(ORDER, **changes), str(folder / "pictures"), str(folder / "run"))


def test_it_holds_from_the_word_on_until_it_may_go_on(ends: tuple[Bot, Control], tmp_path: Path) -> None:
    bot, control = ends
    bot.say(order(tmp_path), Hold())
    assert control.order() == order(tmp_path)
    happened: list[str] = []

    def rest() -> bool:
        happened.append("rest")
        return True

    done = threading.Event()

    def work() -> None:
        while "rest" not in happened:
            control.give_way(rest, lambda: happened.append("back"))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert bot.hear() == Held(away=True)
    assert not done.is_set()
    assert happened == ["rest"]
    bot.say(Go())
    assert done.wait(30)
    assert happened == ["rest", "back"]
    assert not control.is_stopped()
    # From here on nobody holds it.
    control.give_way(rest, lambda: None)
    assert happened == ["rest", "back"]


@pytest.mark.parametrize("how", ["stop", "hang up", "garbage"])
def test_whoever_holds_it_and_stops_it_or_is_gone_lets_it_end(
    ends: tuple[Bot, Control], tmp_path: Path, how: str
) -> None:
    bot, control = ends
    bot.say(order(tmp_path), Hold())
    control.order()
    back: list[int] = []
    holding = threading.Thread(target=lambda: _give_way_until_stopped(control, back), daemon=True)
    holding.start()
    assert bot.hear() == Held(away=False)
    match how:
        case "stop":
            bot.say(Stop())
        case "hang up":
            bot.hang_up()
        case _:
            bot.socket.sendall(b"\xff\xff\xff\xff")
    holding.join(30)
    assert control.is_stopped()
    # Its weights stay where they are: nobody uses them any more.
    assert back == []
    control.say(TrainingStopped())


def _give_way_until_stopped(control: Control, back: list[int]) -> None:
    while not control.is_stopped():
        control.give_way(lambda: False, lambda: back.append(1))


def test_what_begins_with_something_else_is_refused(ends: tuple[Bot, Control]) -> None:
    bot, control = ends
    bot.say(Go())
    with pytest.raises(PeerBroken, match="did not begin"):
        control.order()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "nobody"}, "training_model"),
        ({"name": "../x"}, "training_name"),
        ({"options": TrainingOptions(steps=0)}, "training_number"),
        ({}, "training_pictures"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_loaded(
    ends: tuple[Bot, Control], tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    _, control = ends
    said = trainer._come_to(order(tmp_path, **changes), settings.read({}), _never, control)
    assert isinstance(said, TrainingFailed)
    assert said.reason.name == reason


def _never() -> None:
    raise AssertionError("nothing is to be loaded")


def test_a_run_of_other_pictures_or_of_another_model_is_not_gone_on_with(
    known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    store = made.store_of(known, "sd1", cpu)
    model = store.use(made.OF_EACH["sd1"], lambda: None)
    dataset = made.read(tmp_path / "pictures")
    run = tmp_path / "run"
    run.mkdir()
    options = TrainingOptions(steps=4, rank=2, previews=("a house",))
    begun = trainer._plan(options, dataset, model, cpu, run)
    # Fewer steps than there are epochs by default.
    assert (begun.steps, begun.epochs, begun.rank, begun.previews) == (4, 4, 2, ("a house",))
    # At which it works where nobody says another weight.
    assert begun.weight == MEMBERS_WEIGHT
    runs._begin(begun, run)
    # What the device held when it was begun is what it is trained by.
    assert trainer._plan(TrainingOptions(rank=8), dataset, model, cpu, run) == begun
    (tmp_path / "pictures" / "1.txt").write_text("something else")
    with pytest.raises(trainer._Unable) as changed:
        trainer._plan(options, datasets.read(tmp_path / "pictures"), model, cpu, run)
    assert changed.value.reason.name == "training_changed"


def test_a_run_that_another_process_still_has_is_left_to_it_for_now(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    runs.require_free(run)
    run.mkdir()
    runs.require_free(run)
    with (run / runs.LOCK).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(runs.Taken, match="by another process"):
            runs.require_free(run)
    runs.require_free(run)


def test_it_gives_way_and_stops_where_it_is_told_to_and_says_how_far_it_has_come(
    known: Catalog, cpu: Device, tmp_path: Path, ends: tuple[Bot, Control]
) -> None:
    bot, control = ends
    bot.say(order(tmp_path))
    control.order()
    store = made.store_of(known, "sd1", cpu)
    dataset = made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset)
    model = store.use(plan.model, lambda: None)
    watching = trainer._Watching(control, Resting(cpu, model.modules), 0, plan)
    watching.begin(State(step=2, losses=(), epochs=(0.5,)))
    ended: list[bool] = []
    training = threading.Thread(
        target=lambda: ended.append(runs.run(store, plan, dataset, tmp_path / "run", watching)), daemon=True
    )
    bot.say(Hold())
    training.start()
    said = [bot.hear() for _ in range(3)]
    assert [type(one).__name__ for one in said] == ["Planned", "EpochEnded", "Held"]
    bot.say(Go())
    assert type(bot.hear()).__name__ == "Stepped"
    bot.say(Stop())
    training.join(60)
    assert ended in ([False], [True])
    assert (tmp_path / "run" / "checkpoint" / "state.json").is_file()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file")]
)
def test_a_full_disk_is_said_to_the_member(
    known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    store = made.store_of(known, "sd1", cpu)
    dataset = made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset, steps=1, epochs=1)

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(runs.checkpoints, "write", full)
    with pytest.raises(trainer.TrainingError) as ended:
        runs.run(store, plan, dataset, tmp_path / "run", made.Quiet())
    assert ended.value.reason is not None
    assert ended.value.reason.name == "training_disk"


def test_weights_that_leave_between_steps_come_back_to_the_same_bytes(
    known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    dataset = made.read(tmp_path / "pictures")

    class Holding(made.Quiet):
        """Gives way before every step, and in whatever comes before."""

        def give_way(self) -> None:
            super().give_way()
            assert not resting.leave(0)
            assert resting.leave(2 * card().memory_bytes)
            resting.back()

    results = []
    for run, watching in (("whole", made.Quiet()), ("held", Holding())):
        store = made.store_of(known, "sd1", cpu)
        plan = made.plan(store, "sd1", dataset)
        resting = Resting(card(), store.use(plan.model, lambda: None).modules)
        assert runs.run(store, plan, dataset, tmp_path / run, watching)
        results.append((tmp_path / run / "spotted.safetensors").read_bytes())
    assert results[0] == results[1]
    assert watching.asked > plan.steps
