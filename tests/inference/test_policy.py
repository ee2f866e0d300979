"""Policies: what a card of so much memory gets, and what is tried next where it was not enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from inference.catalog import reading
from inference.catalog.entries import ModelEntry
from inference.models import placement, policy
from inference.models.policy import Needs, Policy, thriftier

GIB = 2**30
MODELS = reading.load(Path(__file__).parents[2] / "models.toml").models

# Of the published weights, in millions of numbers.
SD15 = {"unet": 860, "text_encoder": 123, "vae": 84}
SDXL = {"unet": 2567, "text_encoder": 123, "text_encoder_2": 695, "vae": 84}
SD35 = {"transformer": 8057, "text_encoder": 124, "text_encoder_2": 695, "text_encoder_3": 4762, "vae": 84}
CHROMA = {"transformer": 8900, "text_encoder": 4762, "vae": 84}
ZIMAGE = {"transformer": 6155, "text_encoder": 4022, "vae": 84}
FLUX = {"transformer": 11901, "text_encoder": 123, "text_encoder_2": 4762, "vae": 84}
SANA = {"transformer": 1604, "text_encoder": 2614, "vae": 312}

KLEIN = {"transformer": 3875, "text_encoder": 4022, "vae": 84}
QWEN = {"transformer": 20430, "text_encoder": 8292, "vae": 127}


def needs(entry: ModelEntry, millions: dict[str, int]) -> Needs:
    number_bytes = placement.NUMBER_BYTES.get(entry.weights, 2)
    parts = {part: int(count * 10**6 * number_bytes) for part, count in millions.items()}
    return policy.needs(entry, parts, 2, 4 if entry.family == "sdxl" else 2)


def chosen(entry: ModelEntry, millions: dict[str, int], gib: float) -> Policy:
    memory = int(gib * GIB)
    return policy.choose(entry, needs(entry, millions), int(memory * 0.7), memory)


@pytest.mark.parametrize(
    ("name", "millions", "gib", "offload", "tiling"),
    [
        ("flux2-klein", KLEIN, 24, "none", False),
        ("flux2-klein", KLEIN, 16, "model", False),
        ("flux2-klein", KLEIN, 8, "group", False),
        ("qwen-image", QWEN, 80, "none", False),
        ("qwen-image", QWEN, 64, "model", False),
        ("qwen-image-edit", QWEN, 48, "group", False),
        ("sd15", SD15, 4, "none", False),
        ("sd15", SD15, 6, "none", False),
        ("sd15", SD15, 8, "none", False),
        ("sdxl", SDXL, 6, "group", True),
        ("sdxl", SDXL, 8, "model", True),
        ("sdxl", SDXL, 12, "none", True),
        ("sdxl", SDXL, 24, "none", False),
        ("sd35-large-turbo", SD35, 16, "group", False),
        ("sd35-large-turbo", SD35, 24, "model", False),
        ("sd35-large-turbo", SD35, 48, "none", False),
        ("sd35-large-turbo", FLUX, 16, "group", False),
        ("sd35-large-turbo", FLUX, 24, "group", False),
        ("sd35-large-turbo", FLUX, 48, "none", False),
        ("chroma-hd", CHROMA, 16, "group", False),
        ("chroma-hd", CHROMA, 24, "model", False),
        ("chroma-hd", CHROMA, 40, "none", False),
        ("z-image-turbo", ZIMAGE, 16, "group", False),
        ("z-image-turbo", ZIMAGE, 24, "model", False),
        ("z-image-turbo", ZIMAGE, 32, "none", False),
        ("z-image", ZIMAGE, 32, "none", False),
        ("sana", SANA, 6, "group", False),
        ("sana", SANA, 8, "model", False),
        ("sana", SANA, 16, "none", False),
    ],
)
def test_a_card_gets_the_fastest_policy_that_it_bears(
    name: str, millions: dict[str, int], gib: int, offload: str, tiling: bool
) -> None:
    assert chosen(MODELS[name], millions, gib) == Policy(offload=offload, vae_tiling=tiling)  # type: ignore[arg-type]


def test_a_larger_card_never_gets_a_thriftier_policy_and_a_chosen_one_fits() -> None:
    for name, millions in (("sd15", SD15), ("sdxl", SDXL), ("sd35-large-turbo", SD35)):
        needed = needs(MODELS[name], millions)
        policies = [chosen(MODELS[name], millions, gib / 2) for gib in range(4, 160)]
        assert policies == sorted(policies, key=lambda each: each.thrift, reverse=True)
        fitting = [half for half, each in enumerate(policies, 4) if needed.peak(each) <= half * GIB / 2]
        assert fitting == list(range(fitting[0], 160)), "only the thriftiest is tried where it may not fit"


def test_what_the_entry_says_is_not_chosen_anew() -> None:
    on_a_small_card = chosen(replace(MODELS["sdxl"], offload="none", channels_last=True), SDXL, 8)
    assert on_a_small_card == Policy(vae_tiling=True, channels_last=True)
    assert chosen(replace(MODELS["sdxl"], vae_tiling=False), SDXL, 8).vae_tiling is False
    assert chosen(replace(MODELS["sdxl"], offload="group"), SDXL, 80).offload == "group"


def test_eight_bit_weights_keep_a_large_model_on_a_card_that_it_would_leave() -> None:
    small = replace(MODELS["sd35-large-turbo"], weights="8bit")
    assert chosen(small, SD35, 24) == Policy(weights="8bit")


def test_smaller_weights_keep_it_on_a_smaller_one_still() -> None:
    half, quarter = (replace(MODELS["sd35-large-turbo"], weights=weights) for weights in ("fp8", "nf4"))
    assert chosen(half, SD35, 24) == Policy(weights="fp8")
    assert chosen(half, SD35, 16).offload == "model"
    assert chosen(quarter, SD35, 16) == Policy(weights="nf4")


def test_single_layers_of_four_bits_do_not_come_and_go() -> None:
    quarter = replace(MODELS["flux-dev"], weights="nf4")
    assert chosen(quarter, FLUX, 4) == Policy(weights="nf4", offload="model", vae_tiling=True)
    assert chosen(replace(quarter, weights="8bit"), FLUX, 4).offload == "group"


def test_the_budget_counts_what_is_on_the_device_at_once() -> None:
    parts = {"unet": 1000, "text_encoder": 300, "vae": 50}
    assert Policy().device_bytes(parts) == 1350
    assert Policy(offload="model").device_bytes(parts) == 1000
    assert Policy(offload="group").device_bytes(parts) == 150
    assert Policy(offload="model").device_bytes({}) == 0


def steps(entry: ModelEntry, pixels: int, on_gpu: bool) -> list[tuple[str, bool]]:
    """Every policy that would be tried, from the plain one on."""
    found: list[Policy] = []
    current: Policy | None = policy.choose(entry, needs(entry, SD15), 10**12, 10**12)
    while current is not None:
        found.append(current)
        current = thriftier(current, entry, pixels, on_gpu)
    return [(each.offload, each.vae_tiling) for each in found]


def test_the_next_thriftier_policy_is_one_that_helps() -> None:
    plain = MODELS["sd15"]
    large, small = 1024 * 1024, 512 * 512
    assert steps(plain, large, on_gpu=True) == [("none", False), ("none", True), ("model", True), ("group", True)]
    assert steps(plain, small, on_gpu=True) == [("none", False), ("model", False), ("group", False)]
    assert steps(plain, large, on_gpu=False) == [("none", False), ("none", True)]
    assert steps(plain, small, on_gpu=False) == [("none", False)]
    assert steps(replace(plain, offload="model"), large, on_gpu=True) == [("model", False), ("model", True)]
    assert steps(replace(plain, vae_tiling=False), large, on_gpu=True)[-1] == ("group", False)


def test_a_member_is_told_in_words() -> None:
    assert policy.in_words(Policy(vae_tiling=True)) == "in tiles"
    assert policy.in_words(Policy(offload="group", vae_tiling=True)) == "in tiles and one layer of the model at a time"
