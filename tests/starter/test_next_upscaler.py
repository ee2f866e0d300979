"""The next set's upscalers: what they learn from, and that their stage writes what the product loads."""

from __future__ import annotations

from pathlib import Path

import torch

from starter.next.stages import run_upscaler
from starter.next.upscaling import HELD_OUT, PHOTOGRAPHS, SIDE, crops, shown
from starter.next.vae import new_vae
from starter.train.export import replacing
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.upscaling import Shown, UpscalerStage, halve_twice
from starter.upscaler import FILES, load_upscaler

CPU = torch.device("cpu")


def test_photographs_are_cut_the_same_every_time_and_some_are_held_out() -> None:
    parts = crops(PHOTOGRAPHS, 7, seed=1)
    assert (parts.shape, parts.dtype) == ((7, 3, SIDE, SIDE), torch.uint8)
    assert torch.equal(parts[:2], crops(PHOTOGRAPHS, 2, seed=1))
    # Of the same photograph, yet another part.
    assert not torch.equal(parts[0], parts[6])
    assert parts.float().std((1, 2, 3)).min() > 5
    assert not {*PHOTOGRAPHS} & {*HELD_OUT}


def test_pixel_art_comes_after_smooth_pictures_and_photographs_last() -> None:
    seen = shown(8, 2)
    assert seen.large.shape == (10, 3, SIDE, SIDE)
    # Sixteen pixels wide are the blocks of pixel art at this size.
    blocky = [torch.equal(one[:, ::16, ::16], one[:, 8::16, 8::16]) for one in seen.large]
    assert not any(blocky[: seen.smooth])
    assert not any(blocky[8:])
    assert 0 < seen.smooth < 8


def test_photographs_never_go_through_the_vae_which_knows_drawings_alone() -> None:
    torch.manual_seed(0)
    large = torch.cat([torch.full((3, 3, 256, 256), 90), crops(HELD_OUT, 2, seed=3)[..., ::2, ::2]]).to(torch.uint8)
    stage = UpscalerStage(CPU, new_vae((8, 8, 8, 8)).eval(), Shown(large, 2, photographs=2), batch=4)
    assert torch.equal(stage.soft[3:], halve_twice(large[3:]))
    assert torch.equal(stage.small, halve_twice(large))
    assert not torch.equal(stage.soft[:3], stage.small[:3])


def test_upscaler_is_written_with_what_it_gains(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(CPU, build=tmp_path / "build", models=tmp_path / "models")
    with replacing(plan.models / "vae") as part:
        new_vae((8, 8, 8, 8)).half().save_pretrained(part)
    figures = run_upscaler(plan, Budget(steps=1), drawn=3, photographs=2, held_out=2)
    assert {"clean_upscaler_db", "soft_bicubic_db", "photo_upscaler_db", "photo_bicubic_db"} <= figures.keys()
    with torch.no_grad():
        assert load_upscaler(plan.models / "upscaler" / FILES["srvgg"])(torch.zeros(1, 3, 8, 8)).shape[-1] == 32
