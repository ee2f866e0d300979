"""Painting along edges: what agreeing edges are, that the stage learns, and what the committed ControlNet does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from starter.control import (
    control_prompts,
    controlled,
    edge_f1,
    edge_gain,
    edges_of,
    load_control,
    paint_along,
)
from starter.painter import load_picture, paint
from starter.render import render
from starter.train.control import ControlStage, usual_lessons
from starter.train.diffusing import FrozenPicture, noised
from starter.train.loop import Budget, train
from starter.world import Scene
from tests.starter.worlds import plan_with_a_small_picture_model


def lines(*columns: int) -> Image.Image:
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, list(columns)] = 255
    return Image.fromarray(pixels).convert("RGB")


def test_edges_are_white_lines_where_the_picture_changes() -> None:
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("red", (20, 20, 44, 44))
    edges = np.asarray(edges_of(picture))
    assert edges.shape == (64, 64, 3)
    assert set(np.unique(edges)) == {0, 255}
    assert edges[18:46, 18:46].any()
    assert not edges[24:40, 24:40].any()


def test_edge_f1_is_one_for_the_same_edges_and_nothing_for_others() -> None:
    assert edge_f1(lines(3, 9), lines(3, 9)) == pytest.approx(1.0)
    assert edge_f1(lines(3), lines(9)) == pytest.approx(0.0)
    assert edge_f1(lines(), lines(9)) == 0.0
    assert edge_f1(lines(), lines()) == 1.0


def test_edge_f1_weighs_missing_and_surplus_edges_alike() -> None:
    assert edge_f1(lines(3, 9), lines(3)) == pytest.approx(edge_f1(lines(3), lines(3, 9))) == pytest.approx(2 / 3)


def test_a_tolerance_lets_edges_be_next_to_where_they_were_asked() -> None:
    assert edge_f1(lines(3), lines(4)) == pytest.approx(0.0)
    assert edge_f1(lines(3), lines(4), tolerance=1) == pytest.approx(1.0)
    assert edge_f1(lines(3), lines(5), tolerance=1) == pytest.approx(0.0)


def test_noised_latents_run_from_themselves_to_pure_noise() -> None:
    alphas = torch.linspace(1, 0, 1000)
    latents = torch.randn(64, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    noisy, times, target = noised(latents, alphas, torch.Generator().manual_seed(2))
    assert (times.diff() >= 0).all()
    assert (int(times.min()), int(times.max())) < (50, 1000)
    # Few of them are where eight steps never look.
    assert 0 < int((times < 125).sum()) < 64 / 12
    assert (times[times >= 125].diff() < 30).all()
    # The velocity tells the latents from the noise: together with the noisy ones it gives them back.
    signal = alphas[times].view(-1, 1, 1, 1)
    assert torch.allclose(signal.sqrt() * noisy - (1 - signal).sqrt() * target, latents, atol=1e-5)


def test_stage_starts_as_the_picture_model_and_teaches_the_controlnet_alone(tmp_path: Path) -> None:
    picture = FrozenPicture.exported(plan_with_a_small_picture_model(tmp_path))
    unet = {name: weight.clone() for name, weight in picture.unet.state_dict().items()}
    stage = ControlStage(picture, usual_lessons(6), batch=4, embedding=(4, 4, 4))
    pipeline, prompts = controlled(picture.pipeline, stage.control), control_prompts(1)
    edges = [edges_of(render(prompt.scene, 64)) for prompt in prompts]
    plain = paint(picture.pipeline, prompts, steps=8)[0]
    assert paint_along(pipeline, prompts, edges, 1.0)[0].tobytes() == plain.tobytes()
    start = {name: weight.clone() for name, weight in stage.control.state_dict().items()}
    weights = train(stage, Budget(steps=3), folder=tmp_path / "build")
    assert any(not torch.equal(weights[name], start[name]) for name in weights)
    assert all(torch.equal(weight, unet[name]) for name, weight in picture.unet.state_dict().items())


def test_committed_controlnet_paints_along_the_edges() -> None:
    torch.set_num_threads(1)
    pipeline = controlled(load_picture(), load_control())
    prompts = control_prompts(12)
    figures = edge_gain(pipeline, prompts, [render(prompt.scene, 64) for prompt in prompts])
    assert figures["gain"] > 2.0, figures
    assert figures["with_1px"] > 0.6, figures


def test_edges_decide_where_the_thing_stands_though_the_words_do_not_say_so() -> None:
    torch.set_num_threads(1)
    pipeline, prompts = controlled(load_picture(), load_control()), control_prompts(1)
    asked = [edges_of(render(Scene("house", "red", size="large", place="snow", seed=seed), 64)) for seed in (3, 8)]
    made = [edges_of(paint_along(pipeline, prompts, [edges], 1.0)[0]) for edges in asked]
    assert edge_f1(asked[0], made[0]) > edge_f1(asked[0], made[1])
    assert edge_f1(asked[1], made[1]) > edge_f1(asked[1], made[0])
