"""What measures every family on a card, run on the CPU with tiny models: the same code, whatever it then takes."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from benchmarks import architectures, families, gpu
from benchmarks.architectures import ARCHITECTURES, Architecture
from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES

OF_FAMILY = ("sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-fill-dev", "chroma-hd")
OF_FAMILY += ("z-image-turbo", "klein", "kontext", "qwen", "qwen-edit")

BILLIONS = {
    "sd15": 0.86,
    "sd21": 0.866,
    "sdxl": 2.567,
    "sdxl-turbo": 2.567,
    "sd35-large-turbo": 8.06,
    "flux-schnell": 11.89,
    "flux-kontext": 11.90,
    "flux-fill": 11.90,
    "chroma-hd": 8.90,
    "z-image-turbo": 6.15,
    "flux2-klein": 3.88,
    "qwen-image": 20.43,
    "qwen-image-edit": 20.43,
}
"""Parameters of the published denoisers."""

UNET = {"block_out_channels": [8, 16], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}
UNET |= {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
SMALL: dict[str, dict[str, Any]] = {
    "unet": {**UNET, "attention_head_dim": 2, "cross_attention_dim": 16},
    "vae": {"block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 2}
    | {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2},
    "text_encoder": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
}


@pytest.fixture(scope="module")
def published() -> Catalog:
    return reading.load(Path("models.toml"))


def test_every_family_has_a_model_whose_denoiser_is_as_large_as_the_published_one(published: Catalog) -> None:
    assert {published.models[name].family for name in ARCHITECTURES} == {*FAMILIES}
    for name, made_of in ARCHITECTURES.items():
        family = FAMILIES[published.models[name].family]
        made = architectures.pipeline(made_of, family, torch.device("meta"), torch.bfloat16)
        denoiser = getattr(made, family.denoiser.component)
        assert denoiser.num_parameters() / 1e9 == pytest.approx(BILLIONS[name], rel=0.005), name


def test_every_family_is_measured_and_holds_what_is_checked(known: Catalog, cpu: Device) -> None:
    models = {name: Architecture() for name in OF_FAMILY}
    assert {known.models[name].family for name in models} == {*FAMILIES}
    found = families.measure(known, models, cpu, pairs=1, each_s=600, all_s=600)
    assert found.left_out == {}
    assert [check for check in found.checks if not check.holds] == []
    assert [row.name.partition(",")[0] for row in found.rows] == [known.models[name].title for name in models]
    assert all(row.ours > 0 and row.baseline > 0 for row in found.rows)
    assert "holds  qwen" in gpu.told(found)


def small(published: Catalog) -> Catalog:
    """One model of the catalogue, whose weights are nowhere, with tiny pictures."""
    sizes = {"width": 32, "height": 32, "min_size": 16, "max_size": 64, "steps": 2, "cpu_batch": 2}
    nowhere = {"path": "nowhere", "repo": None, "revision": None, "variant": None, "decoder": None}
    entry = msgspec.structs.replace(published.models["sd15"], **sizes, **nowhere)
    return replace(published, models={"sd15": entry})


def test_what_is_not_here_is_made_of_its_architecture(published: Catalog, cpu: Device) -> None:
    models = {"sd15": ARCHITECTURES["sd15"]}
    found = families.measure(small(published), models, cpu, pairs=2, each_s=600, all_s=600, changed={"sd15": SMALL})
    assert found.left_out == {}
    assert [check for check in found.checks if not check.holds] == []
    assert [(row.name, row.n) for row in found.rows] == [
        ("Stable Diffusion 1.5, 32 px, 2 steps", 2),
        (f"  {families.JOBS} at once", 1),
    ]


def test_what_the_time_does_not_reach_is_said(published: Catalog, cpu: Device) -> None:
    catalog, models = small(published), {"sd15": ARCHITECTURES["sd15"]}
    changed = {"sd15": SMALL}
    assert families.measure(catalog, models, cpu, 1, 600, 0, changed).left_out == {
        "sd15": "not reached in the time for all"
    }
    found = families.measure(catalog, models, cpu, 1, 0, 600, changed)
    assert (found.rows, found.left_out) == ([], {"sd15": "its time was over"})
    # As it was published, for which a second is too short.
    assert families.measure(catalog, models, cpu, 1, 1, 1).left_out == {"sd15": "no time was left to make it"}


def test_a_picture_that_is_another_the_next_time_and_a_warning_are_said(
    published: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint, painted = families.paint, itertools.count()

    def otherwise(requests: Any, *rest: Any) -> list[bytes]:
        warnings.warn("this way is old", stacklevel=1)
        return paint([msgspec.structs.replace(each, seed=next(painted)) for each in requests], *rest)

    monkeypatch.setattr(families, "paint", otherwise)
    models = {"sd15": ARCHITECTURES["sd15"]}
    found = families.measure(small(published), models, cpu, 1, 600, 600, {"sd15": SMALL})
    failing = [check for check in found.checks if not check.holds]
    assert [check.name for check in failing] == [
        "sd15: the same bits alone, again, and as the last of 2",
        "sd15: nothing was warned of",
    ]
    assert failing[1].note == "this way is old"


def test_one_that_does_not_paint_is_said_and_the_others_are_measured(published: Catalog, cpu: Device) -> None:
    catalog = small(published)
    broken = msgspec.structs.replace(catalog.models["sd15"], path="nowhere else")
    catalog = replace(catalog, models={"broken": broken, **catalog.models})
    models = {"broken": ARCHITECTURES["sdxl"], "sd15": ARCHITECTURES["sd15"]}
    found = families.measure(catalog, models, cpu, 1, 600, 600, {"broken": SMALL, "sd15": SMALL})
    assert [*found.left_out] == ["broken"]
    assert [check.name for check in found.checks if not check.holds] == ["broken: paints"]
    assert len(found.rows) == 2


def test_without_a_card_the_operator_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    assert gpu.main() == 2
    assert "has no card" in capsys.readouterr().err


def test_pictures_of_one_way_are_timed_after_two_that_warm_it_up(known: Catalog, cpu: Device) -> None:
    seconds, peak_bytes = gpu._painted(known, "flux-fill-dev", cpu, 1)
    assert len(seconds) == 1
    assert seconds[0] > 0
    assert peak_bytes == 0  # a CPU does not count them
