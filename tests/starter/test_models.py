"""The committed starter models: they load without a warning and do what docs/starter.md says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from starter.judge import MODELS, Judge, judge_pictures, load_judge
from starter.painter import Pipeline, load_picture, paint
from starter.prompts import fixed_prompts
from starter.render import render
from starter.train.pictures import render_all, sample_scenes
from starter.train.upscaling import held_out_gain
from starter.train.vae import held_out_psnr
from starter.upscaler import enlarge, load_upscaler


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_picture()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


def test_all_committed_weights_are_small_and_readable() -> None:
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 48_000_000
    assert sum(path.stat().st_size for path in (MODELS / "picture").rglob("*.safetensors")) < 18_000_000
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files)


def test_judge_reads_renders_it_never_saw(judge: Judge) -> None:
    scenes = sample_scenes(120, seed=77_001)
    seen = judge_pictures(judge, [render(scene, 64) for scene in scenes])
    for name, least in (("thing", 114), ("colour", 112), ("place", 116), ("time", 116), ("count", 112)):
        assert sum(s[name] == getattr(scene, name) for s, scene in zip(seen, scenes, strict=True)) >= least, name


def test_vae_keeps_pictures_sharp(pipeline: Pipeline) -> None:
    assert held_out_psnr(pipeline.vae, 24) > 30.0


def test_pipeline_paints_what_is_asked(pipeline: Pipeline, judge: Judge) -> None:
    prompts = fixed_prompts("plain", 24)
    seen = judge_pictures(judge, paint(pipeline, prompts))
    for name, least in (("place", 22), ("time", 22), ("colour", 22), ("thing", 20)):
        right = sum(s[name] == getattr(p.scene, name) for s, p in zip(seen, prompts, strict=True))
        assert right >= least, (name, right)


def test_karras_spacing_paints_in_eight_steps_too(pipeline: Pipeline, judge: Judge) -> None:
    prompts, usual = fixed_prompts("plain", 8), pipeline.scheduler
    try:
        pipeline.scheduler = type(usual).from_config(usual.config, use_karras_sigmas=True)
        seen = judge_pictures(judge, paint(pipeline, prompts))
    finally:
        pipeline.scheduler = usual
    assert sum(s["place"] == p.scene.place for s, p in zip(seen, prompts, strict=True)) >= 7


def test_same_seed_paints_the_same_picture(pipeline: Pipeline) -> None:
    one, two = (paint(pipeline, fixed_prompts("plain", 1), steps=2)[0] for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_a_prompt_longer_than_the_text_encoder_is_painted_all_the_same(pipeline: Pipeline) -> None:
    picture = pipeline("a red house on a meadow at night, " * 20, num_inference_steps=2).images[0]
    assert picture.size == (64, 64)


def test_upscaler_beats_bicubic_on_pictures_it_never_saw(pipeline: Pipeline) -> None:
    gain = held_out_gain(load_upscaler(), pipeline.vae, 6)
    assert gain["clean_upscaler_db"] > gain["clean_bicubic_db"] + 0.5
    assert gain["soft_upscaler_db"] > gain["soft_bicubic_db"]


def test_upscaler_keeps_colours() -> None:
    small = render_all(sample_scenes(4, seed=77_002), 64)
    upscaler = load_upscaler()
    with torch.no_grad():
        large = upscaler(small.float() / 255)
    shift = (large.mean((2, 3)) - small.float().mean((2, 3)) / 255).abs().max()
    assert float(shift) < 0.02


def test_enlarged_picture_is_four_times_as_large() -> None:
    assert enlarge(load_upscaler(), render(sample_scenes(1, seed=1)[0], 48)).size == (192, 192)


def test_no_model_file_holds_a_path_of_the_machine_that_made_it() -> None:
    for path in MODELS.rglob("*.json"):
        text = path.read_text()
        assert str(Path.home()) not in text
        assert "_name_or_path" not in text, path
