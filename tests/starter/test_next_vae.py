"""The next set's VAE: how it grows from today's, what its stages train on, and how its pictures are measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

from starter.evaluate import Scale
from starter.next import vae as next_vae
from starter.next.figures import tiny as measured
from starter.next.pictures import SPELT, boxes_of, keep_pictures, paint_all, sample_tableaux, shown_mask
from starter.next.stages import STAGES, load_next_vae, run_decoder, run_tiny, run_vae, trained_vae
from starter.next.tableau import Subject, Tableau
from starter.next.vae import (
    CROP,
    LATENTS,
    SIDE,
    DecoderStage,
    VaeStage,
    crispness,
    grown,
    held_out_fidelity,
    through,
    vae_tableaux,
)
from starter.next.vae import new_vae as vae_of_the_next_set
from starter.train.command import train_from_words
from starter.train.diffusing import exported_vae
from starter.train.export import replacing
from starter.train.loop import Budget, train
from starter.train.pictures import to_signed
from starter.train.plan import Plan
from starter.train.vae import latents_of, new_vae, psnr

CPU = torch.device("cpu")


def tiny_stage(pictures: int = 6, batch: int = 4) -> VaeStage:
    torch.manual_seed(0)
    tableaux = sample_tableaux(pictures, seed=1, word_share=0.5)
    return VaeStage(CPU, new_vae((8, 8, 8)), paint_all(tableaux), tableaux, batch)


def test_grown_vae_begins_with_what_the_smaller_one_does_at_half_the_size() -> None:
    torch.manual_seed(0)
    smaller = exported_vae(Plan(CPU))
    vae = grown(smaller).eval()
    pictures = to_signed(paint_all(sample_tableaux(6, seed=2)))
    half = F.avg_pool2d(pictures, 2)
    with torch.no_grad():
        known, latents = (v.encode(p).latent_dist.mode() for v, p in ((smaller, half), (vae, pictures)))
        assert latents.shape == (6, LATENTS, 16, 16)
        assert F.mse_loss(latents[:, :4], known) < 0.1 * known.var()
        back = F.avg_pool2d(vae.decode(latents).sample, 2)
        assert float(psnr(F.mse_loss(back, smaller.decode(known).sample))) > 22
        posterior = vae.encode(pictures).latent_dist
        # The new ones do not drown in noise of their own.
        assert float(posterior.std[:, 4:].mean()) < 0.5 * float(posterior.mean[:, 4:].std())


def test_stage_lessens_its_loss_and_holds_to_the_latents_it_grew_from() -> None:
    stage = tiny_stage()

    def look() -> tuple[float, dict[str, float]]:
        with torch.no_grad():
            loss, figures = stage.loss(torch.Generator().manual_seed(1), 0.0)
        return float(loss), figures

    before, _ = look()
    optimizer = torch.optim.AdamW(stage.groups(), lr=2e-3)
    for number in range(25):
        optimizer.zero_grad()
        stage.loss(torch.Generator().manual_seed(number), 0.0)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after, figures = look()
    assert after < 0.85 * before
    assert {"psnr", "crisp", "uneven", "drift"} == figures.keys()


def test_holding_to_smaller_latents_pulls_only_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = tiny_stage()
    generator = torch.Generator()
    losses = {}
    for hold in (0.0, 1.0):
        monkeypatch.setattr(next_vae, "HOLD", hold)
        loss, figures = stage.loss(generator.manual_seed(1), 0.0)
        losses[hold] = float(loss.detach())
    assert losses[1.0] - losses[0.0] == pytest.approx(figures["drift"], rel=1e-3)


def test_crops_come_first_and_whole_pictures_last() -> None:
    stage = tiny_stage()
    assert stage._batch(torch.Generator().manual_seed(1), 0.1).shape == (4, 3, CROP, CROP)
    assert stage._batch(torch.Generator().manual_seed(1), 0.9).shape == (1, 3, SIDE, SIDE)


def test_most_crops_show_a_thing_or_a_sign() -> None:
    rng = random.Random(3)
    tableaux = sample_tableaux(40, seed=3, word_share=0.5)
    shown = 0
    for tableau in tableaux:
        for _ in range(10):
            x, y = next_vae._crop_at(boxes_of(tableau), rng)
            assert 0 <= x <= SIDE - CROP
            assert 0 <= y <= SIDE - CROP
            middles = [((a + c) / 2 * SIDE, (b + d) / 2 * SIDE) for a, b, c, d in boxes_of(tableau)]
            shown += any(x <= mx <= x + CROP and y <= my <= y + CROP for mx, my in middles)
    assert shown > 320


def test_vae_sees_the_loras_style_and_more_cartoons_than_anything() -> None:
    styles = [tableau.style for tableau in vae_tableaux(400)]
    assert styles.count("neon") == 20
    assert styles.count("cartoon") > 1.3 * max(styles.count(style) for style in ("flat", "pixel", "watercolour"))


def test_resumed_vae_training_ends_bit_for_bit_like_one_that_never_stopped(tmp_path: Path) -> None:
    budget = Budget(steps=4)
    whole = train(tiny_stage(), budget, folder=tmp_path / "whole")
    train(tiny_stage(), budget, folder=tmp_path / "parts", stop_after=2)
    resumed = train(tiny_stage(), budget, folder=tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_decoder_stage_leaves_the_latents_as_they_are(tmp_path: Path) -> None:
    vae = tiny_stage().vae
    pictures = paint_all(sample_tableaux(4, seed=4))
    before = latents_of(vae, pictures)
    decoded = vae.decode(before).sample.detach()
    stage = DecoderStage(CPU, vae, pictures, batch=2)
    stage.model.load_state_dict(train(stage, Budget(steps=3), folder=tmp_path))
    assert torch.equal(latents_of(vae, pictures), before)
    assert not torch.equal(vae.decode(before).sample, decoded)


def test_crispness_is_less_where_it_is_blurred_and_one_where_it_is_not() -> None:
    pictures = to_signed(paint_all(sample_tableaux(4, seed=5)))
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    assert torch.equal(crispness(pictures, pictures), torch.ones(4))
    assert float(crispness(blurred, pictures).max()) < 0.9
    assert float(crispness(pictures, blurred).min()) > 1.1


def test_softer_edges_cost_more_than_as_strong_ones_a_pixel_beside() -> None:
    pictures = to_signed(paint_all(sample_tableaux(4, seed=5)))
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    beside = torch.roll(pictures, 1, -1)
    cost = {}
    for strength in (0.0, 1.0):
        cost[strength] = [
            float(next_vae.distance(other, pictures, strength)[0]) for other in (pictures, beside, blurred)
        ]
    same, moved, softer = (whole - without for whole, without in zip(cost[1.0], cost[0.0], strict=True))
    assert same == 0
    assert softer > 1.3 * moved > 0


def test_fidelity_is_measured_by_style() -> None:
    figures = held_out_fidelity(lambda pictures: pictures + 0.02, 8)
    assert {"db", "crisp", "cartoon_db", "watercolour_crisp"} < figures.keys()
    assert figures["db"] == pytest.approx(40, abs=0.01)
    assert figures["cartoon_crisp"] == pytest.approx(1, abs=1e-4)


def test_mask_covers_things_and_the_sign() -> None:
    tableau = Tableau((Subject("cat", "red"), Subject("tree", "blue")), word="TEA", seed=1)
    mask = shown_mask([tableau, Tableau(tableau.subjects, seed=1)], 16)
    assert mask.shape == (2, 1, 16, 16)
    assert (mask[0, 0, 14, 6:10] == SPELT).all()
    assert mask[1].max() == 1 < SPELT
    assert not mask[1, 0, 15].any()
    assert not mask[:, :, :4].any()


def test_kept_pictures_are_painted_once(tmp_path: Path) -> None:
    tableaux = sample_tableaux(3, seed=6)
    first = keep_pictures(tmp_path / "kept.pt", tableaux, 32)
    assert torch.equal(first, paint_all(tableaux, 32))
    torch.save(torch.load(tmp_path / "kept.pt") | {"pictures": first + 1}, tmp_path / "kept.pt")
    assert torch.equal(keep_pictures(tmp_path / "kept.pt", tableaux, 32), first + 1)
    # Of as many, but others.
    others = sample_tableaux(3, seed=7)
    assert torch.equal(keep_pictures(tmp_path / "kept.pt", others, 32), paint_all(others, 32))
    torch.save(first, tmp_path / "kept.pt")
    assert torch.equal(keep_pictures(tmp_path / "kept.pt", others, 32), paint_all(others, 32))


def test_vae_is_written_as_the_product_loads_it_and_its_decoder_can_go_on(tmp_path: Path) -> None:
    plan = Plan(CPU, build=tmp_path / "build", models=tmp_path / "models")
    figures = run_vae(plan, Budget(steps=1), pictures=4, held_out=4)
    assert figures["db"] > 15
    vae = load_next_vae(plan.models)
    settings: dict[str, Any] = dict(vae.config)
    assert (settings["latent_channels"], len(settings["block_out_channels"])) == (LATENTS, 4)
    pictures = paint_all(sample_tableaux(4, seed=7))
    assert float(latents_of(vae, pictures).std()) * settings["scaling_factor"] == pytest.approx(1, abs=0.3)
    assert str(tmp_path) not in (plan.models / "vae" / "config.json").read_text()
    run_decoder(plan, Budget(steps=1), pictures=4, held_out=4)
    longer = load_next_vae(plan.models)
    assert longer.config.scaling_factor == settings["scaling_factor"]
    assert torch.equal(longer.encoder.conv_in.weight, vae.encoder.conv_in.weight)
    assert not torch.equal(longer.decoder.conv_out.weight, vae.decoder.conv_out.weight)
    left = through(longer)(to_signed(pictures))
    assert left.shape == pictures.shape
    assert trained_vae(plan).config.latent_channels == LATENTS


def test_tiny_decoder_is_made_for_the_vae(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(CPU, build=tmp_path / "build", models=tmp_path / "models")
    with replacing(plan.models / "vae") as part:
        vae_of_the_next_set((8, 8, 8, 8)).half().save_pretrained(part)
    figures = run_tiny(plan, Budget(steps=1), pictures=4, held_out=2)
    assert {"held_out_db", "time_share"} <= figures.keys()
    assert len(measured(Scale(plan.models, 0.04))) == 2
    tiny: Any = AutoencoderTiny
    with torch.no_grad():
        painted = tiny.from_pretrained(plan.models / "tiny").decode(torch.zeros(1, LATENTS, 16, 16)).sample
    assert painted.shape == (1, 3, SIDE, SIDE)


def test_stages_are_run_by_name_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: Plan, budget: Budget) -> dict[str, Any]:
        train(tiny_stage(2, 1), budget, folder=plan.build)
        return {"db": 1.0}

    words = ["vae", "--steps", "1"]
    train_from_words("starter.next", None, {"vae": (run, 1.0)}, tmp_path, tmp_path / "models", words)
    assert '"db": 1.0' in (tmp_path / "models" / "training.json").read_text()
    with pytest.raises(SystemExit):
        train_from_words("starter.next", None, STAGES, tmp_path, tmp_path / "models", ["no-such-stage"])
