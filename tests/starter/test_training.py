"""Training: the loop's promises on tiny models, and what the stages make of words and latents."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import CLIPTokenizer

from starter.captions import caption, caption_zh
from starter.painter import load_picture
from starter.train.diffusing import exported_tokenizer, exported_vae, exported_weights
from starter.train.loop import Budget, autocast, rate_at, train
from starter.train.picture import BINDING, GRID, READING, SPELLING, PictureStage, ask, new_unet
from starter.train.pictures import sample_scenes, things_mask
from starter.train.stages import read_curve
from starter.train.text import POSITIONS, new_text_encoder, new_tokenizer, tokenize
from starter.world import Scene
from tests.starter.worlds import plan_with_a_small_picture_model


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return new_tokenizer(sentences=2000)


def tiny_stage(tokenizer: CLIPTokenizer) -> PictureStage[Scene]:
    torch.manual_seed(0)
    easy, full = sample_scenes(12, seed=1, counts=(1,)), sample_scenes(6, seed=2)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(18, 4, GRID, GRID, generator=generator).half()
    large = torch.randn(6, 4, 2 * GRID, 2 * GRID, generator=generator).half()
    return PictureStage(
        torch.device("cpu"),
        new_unet((16, 16, 16), words=16),
        new_text_encoder(tokenizer, width=16, layers=1),
        tokenizer,
        (easy, latents[:12]),
        (full, latents[12:]),
        (full, large),
        batch=4,
        say=ask,
        cover=things_mask,
    )


@pytest.mark.parametrize(("name", "counts"), [("spelling", SPELLING), ("binding", BINDING)])
def test_what_is_lost_in_words_counts_beside_the_pictures(tokenizer: CLIPTokenizer, name: str, counts: float) -> None:
    stage = tiny_stage(tokenizer)
    without, _ = stage.loss(torch.Generator().manual_seed(1), 0.5)
    setattr(stage, name, lambda ids, states: torch.tensor(2.0))
    beside, told = stage.loss(torch.Generator().manual_seed(1), 0.5)
    assert told[name] == 2
    assert float((beside - without).detach()) == pytest.approx(2 * counts, rel=1e-3)


def test_what_the_features_do_not_tell_counts_less_and_less(tokenizer: CLIPTokenizer) -> None:
    stage = tiny_stage(tokenizer)
    without, _ = stage.loss(torch.Generator().manual_seed(1), 0.5)
    seen: list[torch.Size] = []

    class Readings(nn.Module):
        def forward(self, features: torch.Tensor, chosen: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            seen.extend((features.shape, chosen.shape))
            # Evenly over the batch, from little noise to nothing else.
            assert noise.shape == chosen.shape
            assert 0 <= float(noise[0]) < 0.5 < float(noise[-1]) <= 1
            return 0 * features.sum() + 2

    stage.readings = Readings()
    for progress, counts in ((0.5, 0.5), (0.75, 0.25)):
        beside, told = stage.loss(torch.Generator().manual_seed(1), progress)
        assert told["readings"] == 2
        assert float((beside - without).detach()) == pytest.approx(2 * READING * counts, rel=1e-2)
    assert seen[:2] == [(stage.batch, stage.unet.config.block_out_channels[1], GRID, GRID), (stage.batch,)]


def test_resumed_training_ends_bit_for_bit_like_one_that_never_stopped(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    budget = Budget(steps=6)
    whole = train(tiny_stage(tokenizer), budget, folder=tmp_path / "whole")
    train(tiny_stage(tokenizer), budget, folder=tmp_path / "parts", stop_after=3)
    resumed = train(tiny_stage(tokenizer), budget, folder=tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert any(not torch.equal(whole[name], start) for name, start in tiny_stage(tokenizer).model.state_dict().items())


def test_checkpoint_holds_how_far_the_training_came(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    saved: list[int] = []
    train(
        tiny_stage(tokenizer),
        Budget(steps=4),
        folder=tmp_path,
        stop_after=2,
        on_save=lambda weights, step: saved.append(step),
    )
    state = torch.load(tmp_path / "picture.pt", weights_only=True)
    assert (state["step"], saved) == (2, [2])


def test_training_can_begin_from_given_weights_but_a_checkpoint_goes_first(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    given = {name: weight + 1 for name, weight in tiny_stage(tokenizer).model.state_dict().items()}
    begun = train(tiny_stage(tokenizer), Budget(steps=2), folder=tmp_path, stop_after=0, start=given)
    assert all(torch.equal(begun[name], given[name]) for name in given)
    other = {name: weight + 1 for name, weight in given.items()}
    resumed = train(tiny_stage(tokenizer), Budget(steps=2), folder=tmp_path, stop_after=0, start=other)
    assert all(torch.equal(resumed[name], given[name]) for name in given)


def test_an_exported_picture_model_fits_its_stage(tmp_path: Path) -> None:
    plan = plan_with_a_small_picture_model(tmp_path)
    weights = exported_weights(plan)
    picture = load_picture(plan.models / "picture")
    model = torch.nn.ModuleDict({"unet": picture.unet, "text_encoder": picture.text_encoder})
    model.load_state_dict(weights)
    assert exported_tokenizer(plan).get_vocab() == picture.tokenizer.get_vocab()
    assert str(tmp_path) not in exported_vae(plan).to_json_string()
    assert {weight.dtype for weight in weights.values() if weight.is_floating_point()} == {torch.float32}


def test_learning_rate_warms_up_stays_and_falls_to_nothing() -> None:
    assert rate_at(0.0, step=0, warm_steps=10) == pytest.approx(0.1)
    assert rate_at(0.3, step=500, warm_steps=10) == 1.0
    assert 0.0 < rate_at(0.9, step=900, warm_steps=10) < 0.2
    assert rate_at(1.0, step=1000, warm_steps=10) == pytest.approx(0.0)


def test_a_budget_without_steps_or_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="steps or seconds"):
        Budget().progress(0, 0.0)


def test_seconds_of_a_budget_are_those_of_the_trainings_own_work(
    tokenizer: CLIPTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine that others keep busy a step may take minutes; it counts as what it worked.
    worked, passed = itertools.count(), itertools.count(step=1000)
    monkeypatch.setattr("starter.train.loop.time.process_time", lambda: float(next(worked)))
    monkeypatch.setattr("starter.train.loop.time.monotonic", lambda: float(next(passed)))
    train(tiny_stage(tokenizer), Budget(seconds=6), folder=tmp_path, save_every_s=1e9)
    state = torch.load(tmp_path / "picture.pt", weights_only=True)
    assert (state["step"], state["spent_s"]) == (6, 6.0)


def test_a_processor_without_bfloat16_is_not_made_to_imitate_it() -> None:
    knows = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with autocast(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if knows else torch.float32)


def test_counted_scenes_are_mixed_in_only_late(tokenizer: CLIPTokenizer) -> None:
    stage = tiny_stage(tokenizer)
    early = torch.cat([stage._choose(torch.Generator().manual_seed(n), 0.1) for n in range(20)])
    late = torch.cat([stage._choose(torch.Generator().manual_seed(n), 0.9) for n in range(20)])
    assert int(early.max()) < 12 <= int(late.max())
    assert (late >= 12).float().mean() == 0.75


def test_large_pictures_are_shown_only_late(tokenizer: CLIPTokenizer) -> None:
    stage = tiny_stage(tokenizer)

    def kinds(progress: float) -> set[bool]:
        return {"large" in stage.loss(torch.Generator().manual_seed(n), progress)[1] for n in range(20)}

    assert kinds(0.7) == {False}
    assert kinds(0.9) == {False, True}


def test_mask_covers_the_thing_and_not_the_corners() -> None:
    mask = things_mask([Scene("house", "red", seed=s) for s in range(20)], GRID)
    assert mask.float().mean((1, 2, 3)).min() > 0.05
    assert not mask[:, :, :2, :].any()


def test_tokens_have_the_same_numbers_every_time(tokenizer: CLIPTokenizer) -> None:
    assert new_tokenizer(sentences=2000).get_vocab() == tokenizer.get_vocab()


def test_every_caption_fits_the_text_encoder(tokenizer: CLIPTokenizer) -> None:
    rng = random.Random(1)
    for scene in sample_scenes(300, seed=9, word_share=0.1):
        for text in (caption(scene, rng), caption_zh(scene, rng)):
            assert len(tokenizer(text).input_ids) <= POSITIONS, text


def test_words_of_both_languages_are_single_tokens(tokenizer: CLIPTokenizer) -> None:
    for text, tokens in (
        ("a red house on a meadow at night", 8),
        ("three blue boats at sea, pixel art", 8),
        ("夜晚草地上的一座红色房子", 7),
    ):
        assert len(tokenizer(text).input_ids) == tokens + 2, text


def test_unknown_words_are_spelt_out_and_not_lost(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("zebra 龙").input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]


def test_long_prompts_are_cut_to_the_positions(tokenizer: CLIPTokenizer) -> None:
    assert tokenize(tokenizer, ["a red house " * 40]).shape == (1, POSITIONS)


def test_log_lines_are_json(tokenizer: CLIPTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starter.train.loop.LOG_EVERY_S", 0.0)
    train(tiny_stage(tokenizer), Budget(steps=2), folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "picture.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"stage", "loss", "rate", "spent_s"} <= lines[0].keys()


def test_curve_is_of_the_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [{"stage": "picture", "step": n, "spent_s": 60.0 * n, "rate": 1.0, "loss": float(n)} for n in range(1, 5)]
    lines[1]["large"] = 0.5
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_curve(log, points=2) == [
        {"step": 2, "minutes": 2.0, "loss": 1.5, "large": 0.5},
        {"step": 4, "minutes": 4.0, "loss": 3.5},
    ]
    assert read_curve(tmp_path / "none.jsonl") == []
