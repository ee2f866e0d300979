"""A run that is stopped, killed or gone on with is the run that never was; what cannot be is said in one line."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from safetensors import safe_open

from inference import __main__ as program
from inference.catalog import headers, looking, reading, teaching
from inference.catalog.reading import Catalog
from inference.catalog.weights import inventory
from inference.device import Device
from inference.errors import TrainingError
from inference.families import FAMILIES
from inference.operating import training
from inference.painting.session import Session
from inference.tasks import imagine
from inference.training import checkpoints, datasets, plans, runs
from tests.inference.peer import environment
from tests.inference.training import made
from tests.inference.training.made import Quiet

ROOT = Path(__file__).parents[3]
FILES = ("spotted.safetensors", "spotted.kohya.safetensors")


class Killed(BaseException):
    """The machine stops, between any two lines."""


def result(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in FILES]


def test_a_run_that_was_killed_or_stopped_gives_the_bytes_of_one_that_never_was(
    known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_STEPS", 2)
    dataset = made.read(tmp_path / "pictures")
    changes = {"steps": 6, "epochs": 2, "accumulate": 2, "warm": 3, "unsaid": 0.3}

    def go(run: str, watching: Quiet, **previews: object) -> bool:
        store = made.store_of(known, "sd1", cpu)
        return runs.run(
            store, made.plan(store, "sd1", dataset, **changes, **previews), dataset, tmp_path / run, watching
        )

    assert go("whole", Quiet())
    random_step = random.randrange(1, 6)

    def die(step: int) -> None:
        if step == random_step:
            raise Killed

    with pytest.raises(Killed):
        go("killed", Quiet(on_step=die))
    kept = checkpoints.read(tmp_path / "killed")
    assert (0 if kept is None else kept.state.step) < random_step
    assert not go("killed", Quiet(stop_after=1))
    left = Quiet()
    assert go("killed", left)
    assert len(left.steps) < 6
    assert result(tmp_path / "killed") == result(tmp_path / "whole"), f"killed at step {random_step}"
    # What is painted meanwhile draws nothing of what is trained by. What it is shown by stands in no file.
    # One that a stop has cut short is painted by whoever goes on.
    assert not go("seen", Quiet(stop_after=3), previews=("a house",))
    assert not [*(tmp_path / "seen").glob("epochs/*/preview.png")]
    assert not go("seen", Quiet(stop_after=3), previews=("a house",)), "stopped over the last one"
    assert not (tmp_path / "seen" / "epochs" / "02" / "preview.png").exists()
    assert go("seen", Quiet(), previews=("a house",))
    assert result(tmp_path / "seen") == result(tmp_path / "whole")
    assert len([*(tmp_path / "seen").glob("epochs/*/preview.png")]) == 2


def test_a_checkpoint_that_was_cut_off_is_not_gone_on_with(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset)
    run = tmp_path / "run"
    assert not runs.run(store, plan, dataset, run, Quiet(stop_after=1))
    # Between two renamings only the one before is there.
    (run / "checkpoint").rename(run / "checkpoint.old")
    kept = checkpoints.read(run)
    assert kept is not None
    assert kept.state.step == 1
    assert checkpoints.state(run) == kept.state
    optimiser = run / "checkpoint.old" / "optimiser.pt"
    whole = optimiser.read_bytes()
    optimiser.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="delete it to begin anew"):
        checkpoints.read(run)

    # What is pickled into it is not run.
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'run-it'}",)

    with zipfile.ZipFile(optimiser, "w") as archive:
        archive.writestr("optimiser/data.pkl", pickle.dumps(Evil(), protocol=2))
        archive.writestr("optimiser/version", "3\n")
    with pytest.raises(TrainingError):
        checkpoints.read(run)
    assert not (tmp_path / "run-it").exists()


def test_another_plan_does_not_go_on_with_a_run(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset)
    assert not runs.run(store, plan, dataset, tmp_path / "run", Quiet(stop_after=0))
    with pytest.raises(TrainingError, match="another rate"):
        runs.run(store, made.plan(store, "sd1", dataset, rate=1e-3), dataset, tmp_path / "run", Quiet())
    (tmp_path / "pictures" / "1.txt").write_text("a blue boat")
    other = datasets.read(tmp_path / "pictures")
    with pytest.raises(TrainingError, match="another dataset"):
        runs.run(store, made.plan(store, "sd1", other), other, tmp_path / "run", Quiet())


def test_one_folder_is_trained_in_by_one_process(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset, steps=2)

    def again(step: int) -> None:
        with pytest.raises(TrainingError, match="another process"):
            runs.run(store, plan, dataset, tmp_path / "run", Quiet())

    assert runs.run(store, plan, dataset, tmp_path / "run", Quiet(on_step=again))
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="file cannot be written"):
        runs.run(store, plan, dataset, tmp_path / "file", Quiet())


def test_it_gives_way_before_every_step_and_an_epoch_can_be_chosen(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset, steps=5, epochs=3)
    assert [plan.ends(step) for step in range(1, 6)] == [None, 1, None, 2, 3]
    asked: list[int] = []
    watching = Quiet(on_step=lambda step: asked.append(watching.asked))
    assert runs.run(store, plan, dataset, tmp_path / "run", watching)
    assert [after - before for before, after in pairwise(asked)] == [1, 1, 1, 1]
    last = result(tmp_path / "run")
    runs.choose(tmp_path / "run", 1)
    assert result(tmp_path / "run") != last
    assert headers.header(tmp_path / "run" / FILES[0]).metadata["ss_steps"] == "2"
    with pytest.raises(TrainingError, match="01, 02, 03"):
        runs.choose(tmp_path / "run", 4)
    with pytest.raises(TrainingError, match="no run"):
        runs.choose(tmp_path, 1)


def test_the_models_own_pictures_are_learned_beside(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    changes = {"prior": "a house", "priors": 3, "steps": 2, "epochs": 1}
    beside, alone = Quiet(), Quiet()
    assert runs.run(store, made.plan(store, "sd1", dataset, **changes), dataset, tmp_path / "beside", beside)
    store = made.store_of(known, "sd1", cpu)
    assert runs.run(store, made.plan(store, "sd1", dataset, steps=2, epochs=1), dataset, tmp_path / "alone", alone)
    assert len([*(tmp_path / "beside" / "priors").glob("*.png")]) == 3
    # The same question about the same pictures first, and another one besides.
    assert beside.steps[0] > alone.steps[0]


def test_the_checker_looks_at_what_is_painted_for_a_run(
    known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made.read(tmp_path / "pictures")

    def go(checker: str | None, run: str) -> Image.Image:
        store = made.store_of(known, "sd1", cpu, checker)
        changes = {"prior": "a house", "priors": 2, "steps": 1, "epochs": 1, "previews": ("a house",)}
        assert runs.run(store, made.plan(store, "sd1", dataset, **changes), dataset, tmp_path / run, Quiet())
        return Image.open(tmp_path / run / "epochs" / "01" / "preview.png").convert("RGB")

    def own(run: str) -> list[bytes]:
        return [file.read_bytes() for file in sorted((tmp_path / run / "priors").glob("*.png"))]

    with pytest.raises(TrainingError, match="the checker flags what sd15 paints of 'a house'"):
        go("strict", "all")
    # The first of the model's own is flagged, and painted anew of another seed; the preview is, and stays grey.
    is_flagged = Session._is_flagged
    monkeypatch.setattr(Session, "_is_flagged", lambda *about: is_flagged(*about) and about[1].seed == 0)
    assert go("strict", "some").getextrema() == ((128, 128),) * 3
    assert go(None, "none").getextrema() != ((128, 128),) * 3
    assert own("some")[0] not in own("none")
    assert own("some")[1] == own("none")[1]


def test_what_works_while_it_learns_is_its_weight_of_it(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    dataset = made.read(tmp_path / "pictures")

    def losses(weight: float, rate: float) -> list[float]:
        store, watching = made.store_of(known, "sd1", cpu), Quiet()
        plan = made.plan(store, "sd1", dataset, steps=2, epochs=1, weight=weight, rate=rate, textures=False)
        assert runs.run(store, plan, dataset, tmp_path / f"{weight} {rate}", watching)
        return watching.steps

    # AdamW's first step is as long as its rate: half the weight of twice as long a one is as much.
    whole, half, twice = losses(1.0, 0.05), losses(0.5, 0.1), losses(1.0, 0.1)
    assert whole[0] == half[0] == twice[0]
    assert half[1] == pytest.approx(whole[1], rel=1e-3)
    assert twice[1] != pytest.approx(whole[1], rel=1e-2)


def test_files_say_what_they_are(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset, steps=1, epochs=1)
    assert runs.run(store, plan, dataset, tmp_path / "run", Quiet())
    for name in FILES:
        with safe_open(tmp_path / "run" / name, "pt") as opened:
            told = opened.metadata()
        assert told["ss_network_dim"] == "2"
        assert told["ss_network_alpha"] == "2.0"
        assert told["ss_base_model_version"] == "sd_v1"
        assert told["modelspec.architecture"] == "stable-diffusion-v1/lora"
        assert told["modelspec.trigger_phrase"] == "zqx"
        card = json.loads(told["easel.card"])
        assert (card["consent"], card["license"]) == ("made by this test", "MIT")
        assert told["easel.dataset"] == dataset.digest
        assert str(tmp_path) not in str(told)
        assert looking.look(tmp_path / "run" / name, known, None, None).kind == "lora"


def test_the_command_line_goes_on_with_a_run_that_was_killed_and_stopped(
    models_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made.folder(tmp_path / "pictures")
    options = ["--steps", "14", "--epochs", "2", "--rank", "2", "--no-previews"]

    def asked(run: str) -> list[str]:
        return ["train", "run", str(tmp_path / "pictures"), "--model", "sd15", "--to", str(tmp_path / run), *options]

    process = subprocess.Popen(
        [sys.executable, "-m", "inference", *asked("killed")],
        cwd=ROOT,
        env=environment(models_toml),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        # What was kept last is of the seventh, with which an epoch ended.
        if line.startswith("step 10 "):
            process.kill()
            break
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    for name, value in environment(models_toml).items():
        monkeypatch.setenv(name, value)
    step = training._Printing.step

    def stopping(self: object, number: int, steps: int, loss: float) -> None:
        if number == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training._Printing, "step", stopping)
    assert program.main(asked("killed")) == 130
    assert "the same command goes on" in capfd.readouterr().err
    monkeypatch.setattr(training._Printing, "step", step)
    assert program.main(asked("killed")) == 0
    assert program.main(asked("whole")) == 0
    assert str(tmp_path / "whole" / FILES[0]) in capfd.readouterr().out
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    assert program.main(["train", "choose", str(tmp_path / "whole"), "1"]) == 0
    assert result(tmp_path / "killed") != result(tmp_path / "whole")
    assert program.main(["train", "look", str(tmp_path / "pictures")]) == 0
    assert "zqx, picture 1 of a red house" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["look", "nowhere"], "no folder of pictures"),
        (["run", "pictures", "--model", "nobody", "--to", "run"], "there is no [models.nobody]"),
        (["run", "pictures", "--model", "sana-1600m", "--to", "run"], "nothing is trained"),
        (["run", "pictures", "--model", "sd15", "--to", "run", "--rank", "0"], "cannot be trained so"),
        (["run", "pictures", "--model", "sd15", "--to", "run", "--rate", "nan"], "cannot be trained so"),
        (["run", "pictures", "--model", "sd15", "--to", "run", "--priors", "2"], "--prior and --priors"),
        (["run", "pictures", "--model", "gone", "--to", "run"], "gone cannot be loaded"),
        (
            ["run", "pictures", "--model", "watched", "--to", "run", "--prior", "x", "--priors", "1"],
            "the checker flags",
        ),
        (["choose", "nowhere", "1"], "holds no run"),
    ],
)
def test_what_cannot_be_is_one_line(
    wrong: list[str],
    said: str,
    models_toml: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made.folder(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    sd15 = models_toml.read_text().split("[models.sd15]")[1].split("[")[0]
    lost = sd15.replace('path = "sd15"', 'path = "gone"')
    catalogue = models_toml.with_name("lost.toml")
    watched = f'checker = "strict"\nprediction = "v_prediction"\nzero_snr = true\n{sd15}'
    others = f"[models.gone]\n{lost}\n[models.watched]\n{watched}"
    catalogue.write_text(f"{models_toml.read_text()}\n{others}")
    monkeypatch.setenv("EASEL_MODELS", str(catalogue))
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    assert program.main(["train", *wrong]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("easel:")]
    assert said in line
    if (begun := plans.kept(tmp_path / "run")) is not None:
        assert begun.model == "watched"
        assert begun.snr_gamma == 0


def test_a_model_is_taught_as_its_entry_says(cpu: Device) -> None:
    catalog = reading.load(ROOT / "models.toml")
    models = catalog.models
    own, family = teaching.of(models["starter"]), teaching.of(models["sd15"])
    assert own is not None
    assert family is not None
    assert family == FAMILIES["sd1"].training
    # Narrow layers bear more at a time.
    assert (own.rate, own.steps, own.together, own.rank) == (1e-3, 300, 8, family.rank)
    begun = plans.begin(models["starter"], own, "style", (5, 10))
    assert (begun["rate"], begun["steps"], begun["batch"], begun["accumulate"]) == (1e-3, 300, 1, 8)
    # Members are told the same.
    assert (own.info(64 * 64).rate, own.info(64 * 64).steps) == (1e-3, 300)
    told = {one.name: one.training for one in imagine.abilities(catalog, inventory(catalog), cpu)["models"]}
    assert told["starter"] == own.info(64 * 64)
    in_blocks = msgspec.structs.replace(models["flux-dev"], repo=None, path="weights/flux1-dev-Q4_K_S.gguf")
    assert teaching.of(models["flux-dev"]) is not None
    assert teaching.of(in_blocks) is None
    assert teaching.of(models["flux-fill"]) is None


def test_plans_are_what_a_device_holds(known: Catalog) -> None:
    entry = reading.load(ROOT / "models.toml").models["sdxl"]
    taught = FAMILIES["sdxl"].training
    assert taught is not None
    cpu, large, small, smallest = (
        plans.begin(entry, taught, "style", room) for room in (None, (5, 60), (5, 10), (5, 1))
    )
    assert [each["checkpointing"] for each in (cpu, large, small, smallest)] == [False, False, True, True]
    assert all(each["batch"] * each["accumulate"] == 4 for each in (cpu, large, small, smallest))
    assert smallest["pixels"] * 4 == small["pixels"] == 1024**2
    assert smallest["rank"] < small["rank"]
    # Where noise ends in nothing else min-SNR would let nobody learn how a picture begins.
    assert [
        plans.begin(entry, taught, "style", None, told)["snr_gamma"] for told in ({}, {"rescale_betas_zero_snr": True})
    ] == [5.0, 0.0]
