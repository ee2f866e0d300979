"""The tiny decoder: its class's conventions, that its stage learns, and how near the committed one is to the VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from starter.judge import MODELS
from starter.train.diffusing import decode, encode, exported_vae
from starter.train.loop import Budget, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.tiny import TINY, TinyStage, export_tiny, held_out_match, new_tiny
from tests.starter.worlds import plan_with_a_small_picture_model


def test_tiny_decoder_has_the_picture_models_factor() -> None:
    tiny = new_tiny()
    with torch.no_grad():
        assert tiny.decode(torch.zeros(1, 4, 16, 16)).sample.shape == (1, 3, 64, 64)
        assert tiny.encode(torch.zeros(1, 3, 64, 64)).latents.shape == (1, 4, 16, 16)
    assert (tiny.config.scaling_factor, tiny.config.shift_factor) == (1.0, 0.0)


def test_encoding_scales_and_decoding_takes_the_scale_away_again(tmp_path: Path) -> None:
    vae = exported_vae(plan_with_a_small_picture_model(tmp_path))
    pictures = render_all(sample_scenes(2, seed=1), 64)
    plain = vae.encode(pictures.float() / 127.5 - 1).latent_dist.mode()
    painted = vae.decode(plain).sample.clamp(-1, 1).add(1).mul(127.5)
    vae.register_to_config(scaling_factor=2.0)
    scaled = encode(vae, pictures)
    assert torch.allclose(scaled, 2 * plain, atol=1e-5)
    assert (decode(vae, scaled).float() - painted).abs().max() < 1


def test_stage_lessens_its_loss(tmp_path: Path) -> None:
    plan = plan_with_a_small_picture_model(tmp_path)
    torch.manual_seed(0)
    stage = TinyStage(plan.device, exported_vae(plan), render_all(sample_scenes(8, seed=61), 64), batch=4)

    def distance() -> float:
        with torch.no_grad():
            return float(stage.loss(torch.Generator().manual_seed(1), 0.0)[0])

    before = distance()
    stage.tiny.load_state_dict(train(stage, Budget(steps=60), folder=plan.build))
    assert distance() < 0.8 * before


def test_exported_tiny_decoder_loads_without_complaint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny, latents = new_tiny().eval(), torch.randn(1, 4, 16, 16)
    export_tiny(tmp_path / "tiny", tiny)
    loaded: Any = AutoencoderTiny.from_pretrained(tmp_path / "tiny")
    # A setting that the class writes itself, and complains of when it reads it.
    assert "block_out_channels" not in (tmp_path / "tiny" / "config.json").read_text().replace("coder_block_out", "")
    with torch.no_grad():
        assert torch.allclose(loaded.decode(latents).sample, tiny.decode(latents).sample, atol=0.01)


def test_committed_tiny_decoder_shows_what_the_vae_shows() -> None:
    torch.set_num_threads(1)
    kl: Any = AutoencoderKL
    tiny: Any = AutoencoderTiny
    figures = held_out_match(tiny.from_pretrained(TINY), kl.from_pretrained(MODELS / "picture" / "vae"), 16)
    assert figures["held_out_db"] > 24.0, figures
