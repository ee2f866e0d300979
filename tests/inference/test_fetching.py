"""Fetching: what each kind of entry needs from a hub or a release page and no more, and refusals in one line."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import torch

from inference.catalog import fetching, reading, weights
from inference.catalog.entries import FolderEntry
from inference.errors import CatalogError, WeightsError
from tests.inference.broken import PAGE
from tests.inference.hub import COMMIT, hub
from tests.inference.peer import TIMEOUT_S, environment


def run(toml: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m inference` on this catalogue, with a hub and a cache of its own."""
    return subprocess.run(
        [sys.executable, "-m", "inference", *arguments],
        env=environment(toml, HF_HOME=str(toml.parent / "hf"), HF_ENDPOINT=endpoint),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def listed(toml: Path, endpoint: str) -> list[list[str]]:
    """Name, family, whether it is here and where from, of each entry that `models list` shows."""
    rows = [line.split() for line in run(toml, endpoint, "models", "list").stdout.splitlines()]
    return [[*row[:3], row[-1]] for row in rows]


def test_fetching_a_model_downloads_what_painting_needs_and_no_more(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "sd15", published)
    for part in ("unet", "vae", "text_encoder", "safety_checker"):
        (plain,) = (published / part).glob("*.safetensors")
        shutil.copy(plain, plain.with_suffix(".fp16.safetensors"))
    (published / "v1-5-pruned.safetensors").write_bytes(b"one file with everything, which diffusers does not read")
    toml = tmp_path / "models.toml"
    hub_entry = 'repo = "somebody/tiny"\nvariant = "fp16"'
    toml.write_text(models_toml.read_text().replace('path = "sd15"', hub_entry))
    with hub("somebody/tiny", published) as (endpoint, downloaded):
        fetched = run(toml, endpoint, "models", "fetch", "sd15")
        assert fetched.returncode == 0, fetched.stderr
    assert not [file for file in downloaded if "safety" in file or "pruned" in file]
    assert [file for file in sorted(downloaded) if file.endswith("safetensors")] == [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    rows = listed(toml, endpoint)
    assert ["sd15", "sd1", "yes", f"somebody/tiny@{COMMIT}"] in rows


def test_fetching_a_describer_leaves_the_same_weights_in_other_formats_alone(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "florence", published)
    for other in ("pytorch_model.bin", "tf_model.h5", "model_onnx.safetensors"):
        (published / other).write_bytes(b"the same weights, larger")
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace('path = "florence"', 'repo = "somebody/florence"'))
    with hub("somebody/florence", published) as (endpoint, downloaded):
        fetched = run(toml, endpoint, "models", "fetch", "florence")
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(downloaded) == sorted(file.name for file in (models_toml.parent / "florence").iterdir())
    rows = listed(toml, endpoint)
    assert ["florence", "describer", "yes", f"somebody/florence@{COMMIT}"] in rows


def test_fetching_a_model_fetches_its_checker_and_its_decoder_as_well(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "lax", published)
    for other in ("pytorch_model.bin", "README.md"):
        (published / other).write_bytes(b"the same weights, larger")
    shutil.copytree(models_toml.parent / "sd15", tmp_path / "sd15")
    toml = tmp_path / "models.toml"
    text = models_toml.read_text().replace('path = "lax"', 'repo = "somebody/checker"')
    toml.write_text(text.replace('path = "sd15"', 'path = "sd15"\nchecker = "lax"\ndecoder = "tiny"'))
    with hub("somebody/checker", published) as (endpoint, downloaded):
        rows = listed(toml, endpoint)
        assert ["sd15", "sd1", "no", "sd15"] in rows, "not without its checker"
        fetched = run(toml, endpoint, "models", "fetch", "sd15")
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(downloaded) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    rows = listed(toml, endpoint)
    assert ["lax", "checker", "yes", f"somebody/checker@{COMMIT}"] in rows
    assert ["sd15", "sd1", "yes", "sd15"] in rows
    entries = fetching.wanted(reading.load(toml), "sd15")
    assert [entry.title for entry in entries] == ["Tiny 1.5", "Flags nothing, in one folder", "Tiny decoder"]


def test_fetching_a_controlnet_fetches_its_annotator_as_well(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "depth", published)
    (published / "model.onnx").write_bytes(b"the same weights, larger")
    shutil.copytree(models_toml.parent / "canny", tmp_path / "canny")
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace('path = "depth"', 'repo = "somebody/depth"'))
    with hub("somebody/depth", published) as (endpoint, downloaded):
        rows = listed(toml, endpoint)
        assert ["depth", "control", "no", "canny"] in rows
        fetched = run(toml, endpoint, "models", "fetch", "depth")
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(downloaded) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    rows = listed(toml, endpoint)
    assert ["depth", "control", "yes", "canny"] in rows
    assert ["depth", "annotator", "yes", f"somebody/depth@{COMMIT}"] in rows


def test_fetching_a_detector_takes_its_own_files_out_of_many(models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    published.mkdir()
    for name in ("sk_model.pth", "sk_model2.pth", "ControlNetHED.pth", "README.md"):
        torch.save({name: torch.ones(1)}, published / name)
    toml = tmp_path / "models.toml"
    entry = '[annotators.lines]\ntitle = "Lines"\nkind = "lineart"\nrepo = "somebody/detectors"\n'
    toml.write_text(models_toml.read_text() + entry)
    with hub("somebody/detectors", published) as (endpoint, downloaded):
        fetched = run(toml, endpoint, "models", "fetch", "lines")
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(downloaded) == ["sk_model.pth", "sk_model2.pth"]
    rows = listed(toml, endpoint)
    assert ["lines", "annotator", "yes", f"somebody/detectors@{COMMIT}"] in rows


def test_one_file_is_fetched_from_a_hub_or_from_a_release_page(files: Path, models_toml: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    (published / "v1").mkdir(parents=True)
    shutil.copy(files / "sd1.safetensors", published / "v1" / "dreams.safetensors")
    (published / "v1" / "dreams-pruned.safetensors").write_bytes(b"the same, smaller")
    toml = tmp_path / "models.toml"
    digest = hashlib.sha256((files / "sd1.safetensors").read_bytes()).hexdigest()
    of_hub = f'repo = "somebody/dreams"\nfile = "v1/dreams.safetensors"\nsha256 = "{digest}"'
    toml.write_text(models_toml.read_text().replace('path = "sd15"', of_hub))
    with hub("somebody/dreams", published) as (endpoint, downloaded):
        fetched = run(toml, endpoint, "models", "fetch", "sd15")
        assert fetched.returncode == 0, fetched.stderr
        assert fetched.stdout.strip().endswith(f"snapshots/{COMMIT}/v1/dreams.safetensors")
        toml.write_text(toml.read_text().replace(digest, "0" * 64))
        forged = run(toml, endpoint, "models", "fetch", "sd15")
    assert forged.returncode == 2
    assert f"has another v1/dreams.safetensors than sha256 in models.toml says: its own is {digest}" in forged.stderr
    assert downloaded == ["v1/dreams.safetensors"]
    rows = listed(toml, endpoint)
    assert ["sd15", "sd1", "yes", f"somebody/dreams@{COMMIT}"] in rows


@pytest.mark.parametrize(
    ("path", "name", "files"),
    [
        ("decoder", "tiny", ["config.json", "diffusion_pytorch_model.safetensors"]),
        (
            "strict",
            "strict",
            [
                "feature_extractor/preprocessor_config.json",
                "safety_checker/config.json",
                "safety_checker/model.safetensors",
            ],
        ),
    ],
)
def test_fetching_a_decoder_or_a_checker_in_two_folders_takes_what_they_need(
    path: str, name: str, files: list[str], models_toml: Path, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / path, published)
    for other in ("taesd_decoder.safetensors", "safety_checker/pytorch_model.bin", "unet/model.safetensors"):
        (published / other).parent.mkdir(exist_ok=True)
        (published / other).write_bytes(b"the same weights, larger")
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace(f'path = "{path}"', 'repo = "somebody/partner"'))
    with hub("somebody/partner", published) as (endpoint, downloaded):
        fetched = run(toml, endpoint, "models", "fetch", name)
        assert fetched.returncode == 0, fetched.stderr
    assert sorted(downloaded) == files
    rows = listed(toml, endpoint)
    assert [name, path.replace("strict", "checker"), "yes", f"somebody/partner@{COMMIT}"] in rows


def test_a_hub_that_refuses_is_the_operators_to_mend_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("You are offline.\nAsk for access first.")

    known = reading.load(Path(__file__).parents[2] / "models.toml")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    for name, repo in (("sdxl", "stabilityai/stable-diffusion-xl-base-1.0"), ("florence-2-base", "Florence-2-base")):
        with pytest.raises(WeightsError) as refused:
            list(fetching.fetch(known, name))
        assert str(refused.value).endswith(f"{repo} cannot be fetched: You are offline. Ask for access first.")


@pytest.fixture
def releases(models_toml: Path) -> Iterator[str]:
    """A release page on this machine with the tiny upscalers' files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(models_toml.parent)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_of_a_release_page_lies_among_the_weights(releases: str, models_toml: Path, tmp_path: Path) -> None:
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace('path = "sd15"', f'url = "{releases}/ink.safetensors"'))
    assert list(fetching.fetch(reading.load(toml), "sd15")) == [tmp_path / "weights" / "ink.safetensors"]
    with pytest.raises(WeightsError, match=r"weights/ink.safetensors is a LoRA, and no picture model of one file"):
        weights.locate(reading.load(toml), "model", "sd15")


def with_upscaler(models_toml: Path, folder: Path, url: str, sha256: str) -> reading.Catalog:
    """A catalogue in this folder whose one upscaler comes from a release page, its partner as well."""
    start = models_toml.read_text().split("[upscalers.x4]")[0]
    entry = f"""
        [upscalers.x4]
        title = "Tiny x4"
        arch = "srvgg"
        url = "{url}/x4.pth"
        sha256 = "{sha256}"
        scale = 4
        num_feat = 8
        num_conv = 2
        grain = {{ url = "{url}/x4-grain.pth" }}
        """
    toml = folder / "models.toml"
    toml.write_text(start + entry)
    return reading.load(toml)


def test_an_upscaler_comes_with_its_partner_into_the_weights_folder(
    models_toml: Path, tmp_path: Path, releases: str
) -> None:
    sha256 = hashlib.sha256((models_toml.parent / "x4.pth").read_bytes()).hexdigest()
    known = with_upscaler(models_toml, tmp_path, releases, sha256)
    assert weights.locate(known, "upscaler", "x4") is None
    own, grain = tmp_path / "weights" / "x4.pth", tmp_path / "weights" / "x4-grain.pth"
    assert list(fetching.fetch(known, "x4")) == [own, grain]
    assert own.read_bytes() == (models_toml.parent / "x4.pth").read_bytes()
    assert weights.locate(known, "upscaler", "x4") == own
    before = own.stat().st_mtime_ns
    assert list(fetching.fetch(known, "x4")) == [own, grain]
    assert own.stat().st_mtime_ns == before, "what is here and right is not fetched again"


def test_a_file_with_another_hash_is_refused_and_does_not_stay(
    models_toml: Path, tmp_path: Path, releases: str
) -> None:
    known = with_upscaler(models_toml, tmp_path, releases, "0" * 64)
    with pytest.raises(WeightsError, match="x4.pth is another file than sha256 in models.toml says"):
        list(fetching.fetch(known, "x4"))
    assert not list((tmp_path / "weights").iterdir())


def test_a_release_that_is_not_there_and_a_name_that_is_not_there_are_told(
    models_toml: Path, tmp_path: Path, releases: str
) -> None:
    known = with_upscaler(models_toml, tmp_path, f"{releases}/nowhere", "0" * 64)
    with pytest.raises(WeightsError, match="cannot be fetched from 127.0.0.1: HTTP Error 404"):
        list(fetching.fetch(known, "x4"))
    with pytest.raises(CatalogError, match="there is no model x5: choose one of sd15, .*, x4"):
        list(fetching.fetch(known, "x5"))
    with pytest.raises(WeightsError, match="Tiny 1.5 comes with its folder sd15 and cannot be fetched"):
        list(fetching.fetch(known, "sd15"))
    of_one_file = msgspec.structs.replace(known.models["sd15"], path="mine.safetensors")
    known = replace(known, models={**known.models, "sd15": of_one_file})
    with pytest.raises(WeightsError, match="Tiny 1.5 comes with its file mine.safetensors and cannot be fetched"):
        list(fetching.fetch(known, "sd15"))


def test_an_old_recipes_commit_can_be_fetched_and_the_list_shows_what_is_here(
    models_toml: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "models.toml"
    text = models_toml.read_text().replace('path = "sd15"', 'repo = "somebody/tiny"\nrevision = "main"')
    toml.write_text(text)
    with hub("somebody/tiny", models_toml.parent / "sd15") as (endpoint, _):
        assert ["sd15", "sd1", "no", "somebody/tiny@main"] in listed(toml, endpoint)
        fetched = run(toml, endpoint, "models", "fetch", f"sd15@{COMMIT}")
        assert fetched.returncode == 0, fetched.stderr
        assert f"/snapshots/{COMMIT}" in fetched.stdout
        assert f"write revision = '{COMMIT}' into models.toml" in fetched.stderr
        toml.write_text(text.replace('"main"', f'"{COMMIT}"'))
        rows = listed(toml, endpoint)
        assert ["sd15", "sd1", "yes", f"somebody/tiny@{COMMIT}"] in rows
        [line] = run(toml, endpoint, "models", "fetch", "sdxl@main").stderr.splitlines()
        assert line.startswith("easel: sdxl does not come from the hub and has no revisions")


def test_a_revision_goes_to_the_entry_of_that_name_and_not_to_its_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def info(_: object, repo: str, *, revision: str, **__: object) -> None:
        asked.append((repo, revision))
        raise OSError("enough")

    known = reading.load(Path(__file__).parents[2] / "models.toml")
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
    with pytest.raises(WeightsError):
        list(fetching.fetch(known, "sdxl", "refs/pr/1"))
    assert asked == [("stabilityai/stable-diffusion-xl-base-1.0", "refs/pr/1")]


def test_a_hub_that_breaks_off_or_answers_nonsense_is_told_in_one_line(models_toml: Path, tmp_path: Path) -> None:
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace('path = "florence"', 'repo = "somebody/florence"'))
    published = tmp_path / "published"
    shutil.copytree(models_toml.parent / "florence", published)
    (published / "model.safetensors").write_bytes(PAGE)
    with hub("somebody/florence", published) as (endpoint, _):
        refused = run(toml, endpoint, "models", "fetch", "florence")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "somebody/florence has a file that cannot be used" in line
    assert "is a web page and no file of weights" in line
    dead = run(toml, "http://127.0.0.1:9", "models", "fetch", "florence@other")
    assert dead.returncode == 2
    [line] = dead.stderr.splitlines()
    assert line.startswith("easel: somebody/florence cannot be fetched: ")


def test_every_hub_entry_of_this_checkout_is_pinned_but_those_that_it_names() -> None:
    toml = Path(__file__).parents[2] / "models.toml"
    known = reading.load(toml)
    floating = {
        f"{name}"
        for kind in reading.KINDS
        for name, entry in known.entries(kind).items()
        if isinstance(entry, FolderEntry) and entry.repo and not re.fullmatch("[0-9a-f]{40}", entry.revision or "main")
    }
    assert floating == {"mlsd-sd15"}
    assert all(f"# {name} is not" in toml.read_text() for name in floating)
    files = [file for lora in known.loras.values() for file in lora.files if file.url]
    assert all(file.sha256 for file in files)
