"""`models add`: what lies there is told, and the entry that is written for it paints."""

from __future__ import annotations

import json
import shutil
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from inference import __main__ as program
from inference.catalog import adding, looking, reading, telling, weights
from inference.device import Device
from inference.families import FAMILIES
from inference.families.releases import CONFIGS
from inference.models.store import Store
from tests.inference import broken, tiny_files
from tests.inference.conftest import ask_for, paint_from
from tests.inference.folders import bytes_of
from tests.inference.test_edit import BOX, FILES, OLD_INPUT, mask_of

FIRST = """\
# Ours, and nobody else's words.
default = "first"

[models.first] # the first
title = "First"
family = "sd1"
path = "first"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DDIM"

[label_sets]
colours = ["red", "blue"]"""


@pytest.fixture
def toml(models_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of one model, without an end of its last line."""
    (tmp_path / "first").symlink_to(models_toml.parent / "sd15")
    (tmp_path / "models.toml").write_text(FIRST)
    monkeypatch.setenv("EASEL_MODELS", str(tmp_path / "models.toml"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "models.toml"


def entry_of(toml: Path, table: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(toml.read_text())[table][name]
    return found


def add(place: Path, *further: str) -> int:
    return program.main(["models", "add", str(place), *further])


@pytest.mark.parametrize(
    ("name", "family", "said"),
    [
        ("sd1", "sd1", "a Stable Diffusion 1 model in float32"),
        ("sd2", "sd2", "a Stable Diffusion 2 model in float32"),
        ("sdxl", "sdxl", "a Stable Diffusion XL model in float32"),
        ("sd35", "sd3", "a Stable Diffusion 3.5 Large model in float32"),
        ("flux", "flux", "a FLUX.1 dev model in float32"),
        ("inpainting", "sd1", "a Stable Diffusion 1 model in float32"),
        ("chroma", "chroma", "a Chroma model in float32"),
        ("zimage", "zimage", "a Z-Image model in float32"),
    ],
)
def test_what_is_added_is_told_and_paints(
    name: str,
    family: str,
    said: str,
    files: Path,
    toml: Path,
    cpu: Device,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny_files.tiny_flux(monkeypatch)
    config = files / f"{name}-config"
    if name in ("flux", "chroma", "zimage"):
        # Whoever has such a file has its tokenizer from a model of the catalogue.
        (toml.parent / "base").symlink_to(files / name)
        assert add(toml.parent / "base") == 0
        sizes = ("--config", str(config)) if name == "flux" else ()
        assert add(files / f"{name}.safetensors", *sizes, "--name", "new") == 0
        assert entry_of(toml, "models", "new")["base"] == "base"
    else:
        assert add(files / f"{name}.safetensors", "--config", str(config), "--name", "new") == 0
    shown = capsys.readouterr().out
    assert f"{files / name}.safetensors is {said}: it is [models.new] in {toml} now" in shown
    assert toml.read_text().startswith(FIRST), "what was there stays as it was"
    known = reading.load(toml)
    entry = known.models["new"]
    assert entry.family == family
    defaults = next(release.defaults for release in FAMILIES[family].releases if release.title in said)
    own = entry_of(toml, "models", "new")
    # None of the decoders is in this catalogue.
    assert {field: own[field] for field in defaults if field != "decoder"} == {
        field: value for field, value in defaults.items() if field != "decoder"
    }
    asked = ask_for(model="new", sampler=entry.sampler, guidance=entry.guidance, width=64, height=64, steps=1)
    if name == "inpainting":
        asked = ask_for(model="new", sampler=entry.sampler, image=OLD_INPUT, mask=mask_of(BOX))
    assert paint_from(FILES, Store(catalog=known, device=cpu), asked)[1].pictures


def test_only_its_name_tells_a_turbo_and_where_it_does_not_the_entry_says_so(files: Path, toml: Path) -> None:
    (toml.parent / "base").symlink_to(files / "zimage")
    assert add(toml.parent / "base") == 0
    for name, steps, said in (("z_image_turbo_bf16", 8, 0), ("zany", 40, 1)):
        shutil.copy(files / "zimage.safetensors", toml.parent / f"{name}.safetensors")
        before = toml.read_text()
        assert add(toml.parent / f"{name}.safetensors") == 0
        assert toml.read_text().removeprefix(before).count("# Made of Turbo") == said
        assert entry_of(toml, "models", name)["steps"] == steps


def test_a_lora_goes_with_the_models_that_it_fits(
    models_toml: Path, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sdxl", "flux-dev"):
        shutil.copytree(models_toml.parent / name, toml.parent / name)
        assert add(toml.parent / name) == 0
    for file, models in (
        ("ink", ["first"]),
        ("xl", ["sdxl"]),
        ("flux", ["flux-dev"]),
        ("flux-kohya", ["flux-dev"]),
    ):
        assert add(models_toml.parent / f"{file}.safetensors") == 0
        assert entry_of(toml, "loras", file)["models"] == models, file
    assert "is a LoRA: it is [loras.ink]" in capsys.readouterr().out


def test_tools_and_partners_are_added_too(models_toml: Path, toml: Path) -> None:
    for place, table, fields in (
        ("x4.pth", "upscalers", {"arch": "srvgg", "scale": 4, "num_feat": 8, "num_conv": 2}),
        ("x2.pth", "upscalers", {"arch": "rrdb", "scale": 2, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}),
        ("florence", "describers", {}),
        ("clip", "classifiers", {}),
        ("decoder", "decoders", {}),
        ("strict", "checkers", {}),
        ("depth", "annotators", {"kind": "depth"}),
        ("canny", "controls", {"models": ["first"], "annotator": "canny"}),
    ):
        assert add(models_toml.parent / place) == 0, place
        name = place.partition(".")[0]
        found = entry_of(toml, table, name)
        assert {field: found[field] for field in fields} == fields, place
        assert name in weights.available(reading.load(toml), table[:-1])  # type: ignore[arg-type]


def test_folders_are_added_as_people_have_them(
    models_toml: Path, files: Path, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = toml.parent / "Downloads"
    shutil.copytree(models_toml.parent / "sdxl-turbo", folder / "XL Turbo" / "model")
    assert add(folder / "XL Turbo", "--name", "turbo") == 0
    entry = entry_of(toml, "models", "turbo")
    assert (entry["family"], entry["path"], entry["title"]) == ("sdxl", "Downloads/XL Turbo/model", "XL Turbo")
    assert (entry["steps"], entry["guidance"], entry["negative"]) == (4, 0, False)
    (folder / "alone").mkdir()
    shutil.copy(files / "sd2.safetensors", folder / "alone" / "v2-1_512-base.safetensors")
    assert add(folder / "alone", "--config", str(files / "sd2-config")) == 0
    assert entry_of(toml, "models", "v2-1_512-base")["prediction"] == "epsilon"
    assert "is a Stable Diffusion 2 model" in capsys.readouterr().out


def test_marks_and_metadata_become_words_of_the_entry(files: Path, toml: Path) -> None:
    tensors = load_file(files / "sdxl.safetensors")
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    half = {name: tensor.to(torch.float8_e4m3fn) if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    metadata = {"modelspec.title": 'Noob "v"\n[models.evil]\x7f'}
    tiny_files.write(toml.parent / "noob.safetensors", half | marks, metadata)
    assert add(toml.parent / "noob.safetensors", "--config", str(files / "sdxl-config")) == 0
    written = toml.read_text()
    assert "# It says that it predicts v." in written
    assert "guidance_rescale is 0.7" in written
    assert "# Its fp8 weights become the type that is computed in" in written
    entry = entry_of(toml, "models", "noob")
    assert entry["title"] == 'Noob "v" [models.evil]'
    assert entry["path"] == "noob.safetensors"
    assert set(tomllib.loads(written)["models"]) == {"first", "noob"}


def write_control(folder: Path) -> Path:
    return tiny_files.write(folder / "a.safetensors", {"control_model.input_blocks.0.0.weight": torch.ones(1, 4, 1, 1)})


def write_vae(folder: Path) -> Path:
    made = AutoencoderKL(block_out_channels=(8,), latent_channels=16, norm_num_groups=4)
    return tiny_files.write(folder / "a.safetensors", tiny_files.vae(made))


def write_encoder(folder: Path) -> Path:
    return tiny_files.write(folder / "a.safetensors", {"encoder.block.0.layer.0.SelfAttention.q.weight": torch.ones(1)})


def write_nothing(folder: Path) -> Path:
    return tiny_files.write(folder / "a.safetensors", {"anything": torch.ones(1)})


def write_vae_folder(folder: Path) -> Path:
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).save_pretrained(folder / "a")
    return folder / "a"


def write_checkpoint(folder: Path) -> Path:
    torch.save({"state_dict": {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(1)}}, folder / "a.ckpt")
    return folder / "a.ckpt"


def write_gguf(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(b"GGUF" + b"\0" * 100)
    return folder / "a.safetensors"


def test_an_embedding_goes_with_the_models_whose_words_are_as_wide_and_paints(
    models_toml: Path, toml: Path, cpu: Device
) -> None:
    (toml.parent / "xl").symlink_to(models_toml.parent / "sdxl")
    assert add(toml.parent / "xl") == 0
    widths = [json.loads((toml.parent / f"{place}/config.json").read_text())["hidden_size"] for place in ENCODERS]
    tiny_files.write(toml.parent / "calm.safetensors", {"emb_params": torch.ones(2, 32)})
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 32)}}, toml.parent / "old.pt")
    for file in ("calm.safetensors", "old.pt"):
        assert add(toml.parent / file) == 0
        assert entry_of(toml, "embeddings", file.partition(".")[0])["models"] == ["first"]
    both = {name: torch.ones(1, width) for name, width in zip(("clip_l", "clip_g"), widths, strict=True)}
    tiny_files.write(toml.parent / "both.safetensors", both)
    assert add(toml.parent / "both.safetensors") == 0
    assert entry_of(toml, "embeddings", "both")["models"] == ["xl"]
    store = Store(catalog=reading.load(toml), device=cpu)
    plain, named = (
        paint_from({}, store, ask_for(model="first", prompt=prompt))[1] for prompt in ("a house", "a house, calm")
    )
    assert bytes_of(plain.pictures[0]) != bytes_of(named.pictures[0])
    assert [used["name"] for used in named.recipe["embeddings"]] == ["calm"]


ENCODERS = ("xl/text_encoder", "xl/text_encoder_2")


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"emb_params": torch.ones(2, 768)}, "for none of the models in models.toml"),
        ({"emb_params": torch.ones(())}, "is nothing that is known here"),
        ({"emb_params": torch.ones(0, 32)}, "its tensors are no vectors"),
        ({"emb_params": torch.ones(257, 32)}, "its tensors are no vectors"),
        ({"emb_params": torch.full((1, 32), torch.nan)}, "it holds what is no number"),
        ({"<a>": torch.ones(1, 32), "<b>": torch.ones(1, 32)}, "for none of the models in models.toml"),
        ({"clip_g": torch.ones(1, 32)}, "it has clip_g alone"),
    ],
)
@pytest.mark.parametrize("end", [".safetensors", ".pt"])
def test_an_embedding_that_cannot_be_read_is_not_written(
    tensors: dict[str, torch.Tensor], said: str, end: str, toml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = toml.parent / f"a{end}"
    if end == ".pt":
        torch.save(tensors, file)
    else:
        tiny_files.write(file, tensors)
    assert add(file) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert toml.read_text() == FIRST


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_control, "is a ControlNet: no entry can be made of it"),
        (write_vae, "is a VAE with 16 latent channels: write it as vae into the entry of a model"),
        (write_vae_folder, "is a VAE (AutoencoderKL): write it as vae into the entry of a model"),
        (write_encoder, "is a text encoder: write it into parts of a model's entry"),
        (write_nothing, "is nothing that is known here: no entry can be made of it"),
        (write_checkpoint, "is a pickle: python -m inference models convert"),
        (write_gguf, "is a GGUF file, not what it is called"),
        (lambda folder: folder / "nowhere", "nowhere is not there"),
    ],
)
def test_what_is_no_entry_of_the_catalogue_is_told_in_one_line_and_changes_nothing(
    write: Callable[[Path], Path], said: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write(tmp_path)
    assert add(place) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"easel: {place} ")
    assert said in line
    assert toml.read_text() == FIRST
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("case", broken.SAFETENSORS)
def test_hostile_headers_are_told_apart_from_models(case: str, toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, said = broken.SAFETENSORS[case]
    (toml.parent / "a.safetensors").write_bytes(content)
    assert add(toml.parent / "a.safetensors") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_taken_name_and_a_wrong_one_are_refused(files: Path, toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(files / "sd1-config")
    for name, said in (
        ("first", "there is a [models.first] already: give another one with --name"),
        ("A b", "a name is"),
    ):
        assert add(files / "sd1.safetensors", "--config", config, "--name", name) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"easel: {toml}")
        assert said in line
    assert toml.read_text() == FIRST


def test_what_cannot_be_used_is_not_written(files: Path, toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(files / "flux.safetensors", "--config", str(files / "flux-config")) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "is a FLUX.1 dev model without tokenizer_2: name files or folders that have them" in line
    assert toml.read_text() == FIRST


def test_lines_stay_as_they_end_and_links_as_they_lead(files: Path, toml: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_bytes(FIRST.replace("\n", "\r\n").encode())
    real.chmod(0o640)
    toml.unlink()
    toml.symlink_to(real)
    assert add(files / "sd1.safetensors", "--config", str(files / "sd1-config"), "--name", "a.b") == 0
    assert toml.is_symlink()
    assert b"\n" not in real.read_bytes().replace(b"\r\n", b"")
    assert real.stat().st_mode & 0o777 == 0o640
    assert "a.b" in reading.load(toml).models


def test_two_that_add_at_once_both_add(files: Path, toml: Path) -> None:
    found = looking.look(files / "sd1.safetensors", reading.load(toml), config=files / "sd1-config")
    second = threading.Thread(target=adding.add, args=(toml, found, "second"))
    with adding.alone(toml.parent):
        before = toml.read_text()
        second.start()
        # As long as it takes where nobody waits for anybody.
        second.join(timeout=3)
        toml.write_text(before + "\n" + adding.text(found, "other", toml.parent))
    second.join()
    assert set(reading.load(toml).models) == {"first", "other", "second"}


def test_every_release_is_told_from_every_other_and_has_all_its_configurations() -> None:
    folders = {path.name for path in CONFIGS.iterdir()} - {"clip"}
    releases = [release for family in FAMILIES.values() for release in family.releases if release.folder]
    assert {release.config for release in releases} == folders
    for release in releases:
        index = json.loads((CONFIGS / str(release.config) / "model_index.json").read_text())
        networks = {name for name, value in index.items() if isinstance(value, list) and name in release.parts}
        assert networks == release.parts.keys()
        for name in networks:
            assert (CONFIGS / str(release.config) / name / "config.json").is_file()


@pytest.mark.parametrize("name", tiny_files.MAKERS)
def test_a_files_family_is_told_by_one_release_alone(name: str, files: Path) -> None:
    told = telling.checkpoint(files / f"{name}.safetensors")
    alone = telling.bare(told.header.shapes)
    fitting = [release for family in FAMILIES.values() for release in family.releases if release.told(alone)]
    assert fitting == [told.release]
