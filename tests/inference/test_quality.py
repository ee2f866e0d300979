"""`python -m inference evaluate`: figures of real pictures, that a broken model and smaller weights make worse."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

from bot import measured
from inference import __main__ as program
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import SettingsError
from inference.models.store import Store
from inference.networks import inception, perceptual
from inference.operating.quality import figures, measures, measuring, painting, prompts, ways
from inference.operating.quality.figures import Bar, Figure
from inference.operating.quality.measuring import Eyes
from inference.silence import silenced
from tests.inference import tiny

ROOT = Path(__file__).parents[2]
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    monkeypatch.setenv("EASEL_THREADS", "1")
    # Nothing is taken from who runs the tests.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def evaluate(on_cpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Run the command, and give its report with the figures by their names."""

    def run(catalog: Path, model: str, *more: str, out: str = "out") -> dict[str, Any]:
        monkeypatch.setenv("EASEL_MODELS", str(catalog))
        assert program.main(["evaluate", "--model", model, "--out", str(tmp_path / out), *more]) == 0
        report: dict[str, Any] = json.loads((tmp_path / out / "figures.json").read_text())
        return {**report, "figures": {each["name"]: each for each in report["figures"]}}

    return run


def values(report: dict[str, Any], repeats: bool = True) -> dict[str, float | None]:
    return {name: each["value"] for name, each in report["figures"].items() if each["repeats"] or not repeats}


def with_noise(folder: Path) -> Path:
    """A catalogue of the repository's models, and of one more: the starter with its denoiser's weights out of order."""
    shutil.copytree(ROOT / "starter/models/picture", folder / "noise")
    file = next((folder / "noise" / "unet").glob("*.safetensors"))
    order = torch.Generator().manual_seed(0)
    weights = load_file(file)
    broken = {
        name: each.flatten()[torch.randperm(each.numel(), generator=order)].reshape(each.shape).contiguous()
        for name, each in weights.items()
    }
    save_file(broken, file)
    text = (ROOT / "models.toml").read_text().replace('path = "starter/', f'path = "{ROOT}/starter/')
    own = text.partition("[models.starter]")[2].partition("\n[")[0]
    own = own.replace(f"{ROOT}/starter/models/picture", str(folder / "noise"))
    (folder / "models.toml").write_text(f"{text}\n[models.noise]{own}")
    return folder / "models.toml"


def test_starter_is_measured_by_its_own_prompts_and_noise_is_told_from_it(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = with_noise(tmp_path)
    sound = evaluate(catalog, "starter", "--pictures", "8", out="quality/sound")
    said = capsys.readouterr().out
    broken = evaluate(
        catalog, "noise", "--pictures", "8", "--prompts", "starter-1", "--classifier", "starter", out="quality/broken"
    )
    assert sound["prompts"] == "starter-1"
    assert sound["pictures"] == 8
    good, bad = values(sound), values(broken)
    for name in ("CLIP score", "right: thing", "right: colour", "right: place"):
        assert bad[name] < good[name] - 0.2, name  # type: ignore[operator]
    assert good["right: place"] > 0.8  # type: ignore[operator]
    fewer = "Fréchet distance (less is better)"
    assert bad[fewer] > 2 * good[fewer]  # type: ignore[operator]
    assert bad["score of kinds"] < good["score of kinds"]  # type: ignore[operator]
    assert bad["NIQE (less is better)"] is not None
    assert good["weights"] == bad["weights"]
    # Each guide has its line, measured or not, and what is not says why.
    assert [name for name, each in sound["figures"].items() if each["bar"]] == ["CLIP score", "FID", "Inception Score"]
    assert all("is not in" in sound["figures"][name]["note"] for name in ("FID", "Inception Score"))
    [clip] = [line for line in said.splitlines() if line.startswith("CLIP score")]
    assert ">= 0.32" in clip
    assert "reached" not in clip, "the guide means another network"
    assert clip.split()[2] == "8"
    [fid] = [line for line in said.splitlines() if line.startswith("FID")]
    assert "<= 5" in fid
    chart = ElementTree.parse(tmp_path / "quality" / "sound" / "figures.svg")
    assert len(chart.findall("{*}line[@class='guide']")) == 3
    # What the bot reads of it, where it is kept in the bot's data folder.
    shown = measured.read(tmp_path)
    assert {name: [(each.name, each.value, each.n) for each in of.figures] for name, of in shown.items()} == {
        "starter": [("CLIP score", good["CLIP score"], 8)],
        "noise": [("CLIP score", bad["CLIP score"], 8)],
    }
    assert (shown["starter"].date, shown["starter"].prompts) == (sound["date"], "starter-1")
    assert not shown["starter"].figures[0].comparable
    with (
        Image.open(tmp_path / "quality" / "sound" / "sheet.webp") as sheet,
        Image.open(tmp_path / "quality/sound/pictures/00000.png") as one,
    ):
        assert sheet.width == 6 * 256
        assert one.size == (256, 256), "as members get it, enlarged"


def test_same_command_gives_the_same_pictures_and_figures(
    evaluate: Evaluate, models_toml: Path, tmp_path: Path
) -> None:
    once = evaluate(models_toml, "sd15", "--pictures", "4")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out/pictures").iterdir()}
    assert len(before) == 4
    again = evaluate(models_toml, "sd15", "--pictures", "3")
    after = {file.name: file.read_bytes() for file in (tmp_path / "out/pictures").iterdir()}
    assert after == {name: before[name] for name in sorted(before)[:3]}, "nothing of the last time is left"
    once = evaluate(models_toml, "sd15", "--pictures", "3", out="other")
    assert values(once) == values(again)
    assert once["prompts"] == "easel-1"
    assert once["figures"]["time per picture"]["repeats"] is False
    assert "192 x 96 pixels and more" in once["figures"]["NIQE (less is better)"]["note"]


@pytest.fixture
def published(on_cpu: None, tmp_path: Path) -> Path:
    """Networks of Inception's and AlexNet's shape where torch.hub would have put them, with weights of chance."""
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    from inference.networks import upscaler  # noqa: F401

    with silenced(), pytest.MonkeyPatch.context() as patch:
        from basicsr.archs import inception as architecture

        # What it would read is what is written here.
        patch.setattr(architecture, "load_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = architecture.fid_inception_v3()
    torch.save(network.state_dict(), folder / inception.FILE)
    torch.save(torchvision.models.alexnet().state_dict(), folder / perceptual.FILE)
    return folder


def test_smaller_weights_and_drafts_are_compared_with_full_precision(
    evaluate: Evaluate, models_toml: Path, tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photographs").mkdir()
    for number in range(3):
        tiny.picture(40, 32, seed=number).save(tmp_path / "photographs" / f"{number}.png")
    (tmp_path / "photographs" / "notes.txt").write_text("no picture")
    smaller = evaluate(
        models_toml,
        "sd15",
        *("--pictures", "3", "--policy", "8bit", "--classifier", "clip"),
        *("--references", str(tmp_path / "photographs")),
    )
    found = smaller["figures"]
    assert smaller["policy"]["weights"] == "8bit"
    assert found["weights"]["value"] < found["weights"]["whole"]
    assert 20 < found["PSNR to full precision"]["value"] < math.inf
    assert found["same pictures as full precision"]["value"] < 1
    assert 0.5 < found["SSIM to full precision"]["value"] < 1
    assert 0 < found["LPIPS to full precision (less is better)"]["value"] < 1
    assert found["CLIP score"]["whole"] is not None
    assert found["CLIP score"]["verdict"] == "missed"
    assert found["FID"]["value"] > 0
    assert "to 3 pictures, too few to compare" in found["FID"]["note"]
    assert 1 <= found["Inception Score"]["value"] <= 3
    assert "FULL PRECISION" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "full precision").iterdir())) == 3


def test_same_weights_give_the_same_pictures(known: Catalog, cpu: Device, tmp_path: Path, published: Path) -> None:
    asked = prompts.Words("two", ("a cat", "a dog")).asked(2)
    one, other = (
        painting.paint(known, "sd15", known.models["sd15"], cpu, asked, tmp_path / each, lambda _: None)
        for each in ("one", "other")
    )
    store = Store(catalog=known, device=cpu)
    eyes = Eyes(store=store, prompts=prompts.choose("easel-1", tmp_path), clip=None, references=None)
    same, decibels, structure, distance = measuring.of_pairs(one, other, eyes)
    assert (same.value, same.n) == (1, 2)
    assert (decibels.value, decibels.note) == (None, "all are the same")
    assert structure.value == pytest.approx(1)
    assert distance.value == 0


def test_file_that_is_not_those_weights_is_told_in_one_line(
    published: Path,
    models_toml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    command = ["evaluate", "--model", "sd15", "--pictures", "2", "--out", str(tmp_path / "out")]
    for damage, words in ((b"nothing", "cannot be read as weights"), (None, "is not Inception's")):
        if damage is None:
            torch.save({"fc.weight": torch.zeros(1)}, published / inception.FILE)
        else:
            (published / inception.FILE).write_bytes(damage)
        assert program.main(command) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert words in line
        assert not (tmp_path / "out").exists(), "before anything is painted"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", None])
def test_reference_that_is_no_picture_is_told_before_anything_is_painted(
    on_cpu: None,
    models_toml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    (tmp_path / "wanted").mkdir()
    tiny.picture().save(tmp_path / "wanted" / "1.png")
    if content is not None:
        (tmp_path / "wanted" / "2.png").write_bytes(content)
    command = ["evaluate", "--model", "sd15", "--out", str(tmp_path / "out"), "--references", str(tmp_path / "wanted")]
    assert program.main(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert ("it takes two pictures at least, and has 1" if content is None else "2.png is no picture") in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nobody"], "there is no [models.nobody]"),
        (["--model", "flux-fill-dev"], "paints nothing without a picture"),
        (["--model", "absent"], "is not on this machine"),
        (["--model", "sd15", "--policy", "9bit"], "--policy 9bit: unknown"),
        (["--model", "sd15", "--policy", "weights=9bit"], "--policy weights=9bit: Invalid enum value"),
        (["--model", "sd15", "--policy", "8bit,fp8"], "said twice"),
        (["--model", "sd15", "--policy", "attention=flash"], "without a card attention would change nothing"),
        (["--model", "sd15", "--policy", "draft"], "--policy: speed: a draft leaves out none of 3 steps"),
        (["--model", "sd15", "--prompts", "mine"], "choose one of easel-1, starter-1"),
        (["--model", "sd15", "--classifier", "eyes"], "there is no [classifiers.eyes]"),
        (["--model", "sd15", "--pictures", "1"], "--pictures 1: from 2 to"),
        (["--model", "sd15", "--references", "nowhere"], "there is no such folder"),
        (["--model", "sd15", "--out", "models"], "other things lie there"),
        (["--model", "sd15", "--out", "models.toml"], "nothing can be written there"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line_and_nothing_is_written(
    on_cpu: None,
    models_toml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a letter").write_text("keep me")
    (tmp_path / "models.toml").write_text("keep me")
    assert program.main(["evaluate", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("easel: ")
    assert words in line
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "torch") == ["models", "models.toml"]


def test_ctrl_c_ends_it_in_one_line(
    on_cpu: None,
    models_toml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    monkeypatch.setattr(painting, "_pass", pressed)
    assert program.main(["evaluate", "--model", "sd15", "--out", str(tmp_path / "out")]) == 130
    [line] = capsys.readouterr().err.splitlines()
    assert line == "easel: stopped; the same command begins anew"


def test_memory_that_is_full_is_made_do_with_as_by_an_engine(
    known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, told = painting.alone.paint, list[int]()

    def full_once(*given: Any) -> Any:
        told.append(len(given[0]))
        if len(told) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(*given)

    monkeypatch.setattr(painting.alone, "paint", full_once)
    monkeypatch.setattr(Store, "economise", lambda _: True)
    asked = prompts.Words("two", ("a cat", "a dog")).asked(3)
    painted = painting.paint(known, "sd15", known.models["sd15"], cpu, asked, tmp_path / "new", lambda _: None)
    assert [one.text for one in asked] == ["a cat", "a dog", "a cat"]
    assert [one.seed for one in asked] == [0, 1, 2]
    assert len(list(painted.pictures())) == 3
    eyes = Eyes(
        store=Store(catalog=known, device=cpu), prompts=prompts.choose("easel-1", tmp_path), clip=None, references=None
    )
    [clip, *_] = measuring.of_pictures(painted, asked, eyes)
    assert clip.value is None
    assert "no CLIP is here" in clip.note


def test_sets_of_prompts_are_the_same_for_ever() -> None:
    """Figures of then and now are compared: a set that is to be another gets another name."""
    digests = {
        name: hashlib.sha256("\n".join(f"{one.seed} {one.text}" for one in each.asked(96)).encode()).hexdigest()[:16]
        for name, each in prompts.sets().items()
    }
    assert digests == {"easel-1": "480894cf3a6531dd", "starter-1": "d60c262dea63f4cd"}
    assert len(set(prompts.EASEL_1)) == len(prompts.EASEL_1) == prompts.sets()["easel-1"].usual


def test_each_model_is_asked_in_words_that_it_knows(tmp_path: Path) -> None:
    assert prompts.choose(None, ROOT / "starter/models/picture").name == "starter-1"
    assert prompts.choose(None, tmp_path).name == "easel-1"


def test_policy_is_said_in_the_fields_of_an_entry_or_short() -> None:
    assert ways.changes("8bit,draft") == {"weights": "8bit", "speed": "draft"}
    assert ways.changes("weights=nf4, vae_tiling=true,offload=model") == {
        "weights": "nf4",
        "vae_tiling": True,
        "offload": "model",
    }
    assert ways.changes(None) == ways.changes("") == {}
    with pytest.raises(SettingsError, match="it takes offload=…, vae_tiling=…"):
        ways.changes("tiling")


def test_frechet_distance_is_that_of_the_usual_formula() -> None:
    from basicsr.metrics.fid import calculate_fid

    draw = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(60, 6, generator=draw), 2 * torch.randn(50, 6, generator=draw) + 1
    fitted = [part for each in (ours.numpy(), theirs.numpy()) for part in (each.mean(0), np.cov(each, rowvar=False))]
    with silenced():
        expected = calculate_fid(*fitted)
    assert measures.frechet(ours, theirs) == pytest.approx(float(expected), rel=1e-4)
    assert measures.frechet(ours, ours) == pytest.approx(0, abs=1e-6)
    fewer = torch.randn(4, 9, generator=draw)
    assert measures.frechet(fewer, fewer + 1) == pytest.approx(9, rel=1e-5), "fewer pictures than features"


def test_inception_score_counts_the_kinds_that_are_sure() -> None:
    assert measures.inception_score(torch.eye(8)) == pytest.approx(8, rel=1e-6)
    assert measures.inception_score(torch.full((5, 8), 1 / 8)) == pytest.approx(1)


def test_niqe_tells_noise_from_pictures_and_has_none_for_what_has_no_statistics() -> None:
    with Image.open(ROOT / "docs/demo.png") as whole:
        picture = whole.convert("RGB").crop((200, 200, 500, 500))
    sound, noise = measures.niqe(picture), measures.niqe(tiny.picture(300, 300))
    assert sound is not None
    assert noise is not None
    assert sound < noise
    assert measures.niqe(Image.new("RGB", (300, 300), "red")) is None
    assert measures.niqe(tiny.picture(191, 190)) is None


def test_table_says_how_sure_a_figure_is_and_how_it_stands_to_its_guide() -> None:
    clip = figures.mean("CLIP score", [0.3, 0.4, 0.35], bar=Bar(value=0.32))
    fid = Figure(name="FID", n=3, value=7, bar=Bar(value=5, less_is_better=True))
    right = figures.share("right: thing", [True] * 4)
    assert clip.error == pytest.approx(0.0289, abs=1e-4)
    assert (clip.verdict, fid.verdict, right.verdict) == ("reached", "missed", "")
    assert right.error is not None
    assert right.error > 0.1, "four of four is not sure"
    compared = figures.beside([clip], [figures.mean("CLIP score", [0.36])])
    assert "0.36" in figures.table(compared, compared=True)
    assert "0.36" not in figures.table(compared, compared=False)
    assert figures.said(None, "dB") == "-"
