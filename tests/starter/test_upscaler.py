"""The upscalers: two networks in one stage, what undecided pictures are, and what the committed weights do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from inference.catalog.entries import UpscalerEntry
from inference.networks.upscaler import Upscaler
from starter.judge import MODELS
from starter.render import render
from starter.train.diffusing import exported_vae
from starter.train.export import export_upscaler
from starter.train.loop import Budget, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.train.upscaling import UpscalerStage, held_out_gain, renders, shrink_pictures
from starter.upscaler import (
    FILES,
    RRDB_SIZE,
    SRVGG_SIZE,
    UPSCALER,
    Arch,
    blockiness,
    enlarge,
    load_upscaler,
    new_upscaler,
)
from starter.world import Scene
from tests.starter.worlds import plan_with_a_small_picture_model

ARCHS: tuple[Arch, ...] = ("srvgg", "rrdb")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_with_a_small_picture_model(tmp_path_factory.mktemp("upscaler"))


@pytest.mark.parametrize("arch", ARCHS)
def test_stage_teaches_either_network_under_its_own_name(arch: Arch, plan: Plan) -> None:
    torch.manual_seed(0)
    stage = UpscalerStage(plan.device, exported_vae(plan), renders(8), arch, batch=4)
    start = {name: weight.clone() for name, weight in stage.model.state_dict().items()}
    weights = train(stage, Budget(steps=2), folder=plan.build)
    assert any(not torch.equal(weights[name], start[name]) for name in weights)
    assert (plan.build / f"{stage.name}.pt").exists()
    assert stage.name == {"srvgg": "upscaler", "rrdb": "upscaler-rrdb"}[arch]


def test_blurred_pictures_are_never_pixel_art(plan: Plan) -> None:
    stage = UpscalerStage(plan.device, exported_vae(plan), renders(40), batch=16)
    stage.large[: stage.smooth], stage.large[stage.smooth :] = 0, 255
    for seed in range(10):
        _, large = stage._pairs(torch.Generator().manual_seed(seed))
        assert not large[:4].any()


@pytest.mark.parametrize("arch", ARCHS)
def test_written_weights_are_what_real_esrgan_loads(arch: Arch, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = new_upscaler(arch).eval(), tmp_path / FILES[arch]
    export_upscaler(path, network.state_dict())
    entry = UpscalerEntry(
        title="", arch=arch, path=str(path), scale=4, **(SRVGG_SIZE if arch == "srvgg" else RRDB_SIZE)
    )
    product = Upscaler(entry, [path], torch.device("cpu"), torch.float32)
    picture = render(Scene("cat", "red"), 32)
    assert product.enlarge(picture).tobytes() == enlarge(network, picture).tobytes()
    assert enlarge(load_upscaler(path), picture).tobytes() == enlarge(network, picture).tobytes()


@pytest.mark.parametrize("arch", ARCHS)
def test_untrained_networks_start_near_an_enlargement(arch: Arch) -> None:
    torch.manual_seed(0)
    small = render_all(sample_scenes(2, seed=3), 64).float() / 255
    with torch.no_grad():
        large = new_upscaler(arch)(small)
    assert (large - F.interpolate(small, scale_factor=4)).abs().mean() < 0.05


def test_undecided_pictures_differ_from_what_the_vae_makes_of_clean_ones(plan: Plan) -> None:
    large = render_all(sample_scenes(3, seed=5), 256)
    small, soft = shrink_pictures(large, exported_vae(plan))
    same, undecided = shrink_pictures(large, exported_vae(plan), torch.tensor([0.0, 0.2, 0.2]))
    assert (small.shape, small.dtype, soft.shape) == ((3, 3, 64, 64), torch.uint8, (3, 3, 64, 64))
    assert torch.equal(small, same)
    assert torch.equal(soft[0], undecided[0])
    assert not torch.equal(soft[1], undecided[1])


def test_blockiness_tells_pixel_art_from_smooth_art() -> None:
    scene = {style: Scene("boat", "blue", style=style, seed=4) for style in ("flat", "watercolour", "pixel")}
    assert blockiness(render(scene["pixel"], 256)) > 50
    assert blockiness(render(scene["flat"], 256)) < 1.5
    assert blockiness(render(scene["watercolour"], 256)) < 1.5
    # Blocks softened by a bicubic enlargement are blocks still, though far weaker ones.
    assert blockiness(render(scene["pixel"], 64).resize((256, 256), Image.Resampling.BICUBIC)) > 1.5


@pytest.mark.parametrize("arch", ARCHS)
def test_committed_upscaler_beats_bicubic_and_keeps_pixel_blocks_to_pixel_art(arch: Arch) -> None:
    torch.set_num_threads(1)
    upscaler = load_upscaler(UPSCALER.with_name(FILES[arch]))
    figures = held_out_gain(upscaler, exported_vae(Plan(torch.device("cpu"), models=MODELS)), 8)
    assert figures["clean_upscaler_db"] > figures["clean_bicubic_db"] + 1.5, figures
    assert figures["soft_upscaler_db"] > figures["soft_bicubic_db"], figures
    assert figures["pixel_blocks"] > 5, figures
    assert figures["undecided_blocks"] < 3, figures


@pytest.mark.parametrize("arch", ARCHS)
def test_one_picture_is_enlarged_in_well_under_a_second(arch: Arch) -> None:
    torch.set_num_threads(1)
    upscaler, picture = new_upscaler(arch).eval(), render(Scene("cat", "red"), 64)
    enlarge(upscaler, picture)
    took_s = []
    for _ in range(3):
        begin = time.perf_counter()
        enlarge(upscaler, picture)
        took_s.append(time.perf_counter() - begin)
    assert min(took_s) < 0.7
