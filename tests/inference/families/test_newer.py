"""Z-Image and Chroma: what their pipelines are told, word for word and number for number."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import CpuOffload
from PIL import Image

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError, UnavailableModel
from inference.families import FAMILIES
from inference.models import prompts
from inference.models.store import Store
from inference.protocol import Control, Finished, Imagine, Ready, because, limits
from tests.inference import tiny_families
from tests.inference.cards import card
from tests.inference.conftest import ask_for, paint_from, uploaded, with_model
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny import picture

HOUSE, FILES = uploaded(picture(32, 32, seed=3))

paint = partial(paint_from, FILES)

BARE: list[tuple[str, float, dict[str, Any]]] = [
    ("chroma-hd", 4.0, {"guidance_scale": 4.0}),
    ("chroma-hd", 1.0, {"guidance_scale": 1.0}),
    # Its makers count from 0, the difference that they add.
    ("z-image", 5.0, {"guidance_scale": 4.0}),
    ("z-image", 1.5, {"guidance_scale": 0.5}),
    ("z-image", 1.0, {"guidance_scale": 0.0}),
    ("z-image-turbo", 1.0, {"guidance_scale": 0.0}),
    ("z-image-turbo", 0.0, {"guidance_scale": 0.0}),
]


def pixels(finished: Finished) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


def ask(name: str, **changes: Any) -> Imagine:
    return ask_for(**{"model": name, "sampler": "FlowMatch Euler", "steps": 3, **changes})


@pytest.mark.parametrize(("name", "guidance", "own"), BARE)
def test_the_engine_paints_what_the_bare_pipeline_paints(
    name: str, guidance: float, own: dict[str, Any], store: Store
) -> None:
    request = ask(name, negative="blue" if guidance > 1 else "", guidance=guidance)
    ours = pixels(paint(store, request)[1])
    bare = store.use(name, lambda: None).pipeline(
        prompt=request.prompt,
        negative_prompt="blue",
        width=32,
        height=32,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(request.seed),
        **own,
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


def test_words_of_z_image_are_as_many_as_they_are_and_go_into_a_list(store: Store) -> None:
    model = store.use("z-image", lambda: None)
    short, long = (model.prompts.encode(words, "", True) for words in ("a house", "a red house by the sea"))
    assert short["prompt_embeds"].shape[1] < long["prompt_embeds"].shape[1]
    assert short["negative_prompt_embeds"].shape[1] < short["prompt_embeds"].shape[1]
    assert set(model.prompts.encode("a house", "", False)) == {"prompt_embeds"}
    both = prompts.stack([long, long], model.family.words)
    assert [tuple(each.shape) for each in both["prompt_embeds"]] == [tuple(long["prompt_embeds"].shape[1:])] * 2


def test_chroma_reads_512_tokens_and_a_mask_of_those_that_are_words(store: Store) -> None:
    encoded = store.use("chroma-hd", lambda: None).prompts.encode("a red house", "blue", True)
    assert encoded["prompt_embeds"].shape[1] == encoded["negative_prompt_embeds"].shape[1] == 512
    counts = [int(encoded[f"{side}prompt_attention_mask"].sum()) for side in ("", "negative_")]
    assert counts[0] > counts[1] > 1


@pytest.mark.parametrize("name", ["chroma-hd", "z-image"])
def test_they_look_away_from_words_and_weigh_none(name: str, store: Store) -> None:
    plain = paint(store, ask(name))[1]
    assert not np.array_equal(pixels(paint(store, ask(name, negative="a blue boat"))[1]), pixels(plain))
    weighed = paint(store, ask(name, prompt="a (red:1.3) house"))[1]
    assert np.array_equal(pixels(weighed), pixels(plain))
    assert weighed.answer.notes[0].name == "weights_left_out"


def test_turbo_takes_no_guidance_and_no_negative_prompt(ready: Ready) -> None:
    title = "Tiny Z-Image Turbo"
    turbo = partial(ask, "z-image-turbo", guidance=1.0)
    assert limits.problem(turbo(), ready) is None
    assert limits.problem(turbo(guidance=4.0), ready) == because("no_guidance", model=title)
    assert limits.problem(turbo(negative="blue"), ready) == because("no_negative", model=title)
    given, _ = uploaded(picture())
    assert limits.problem(turbo(control=Control("canny", given)), ready) is not None


def test_latents_stay_as_exact_as_the_pipeline_keeps_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = store.use("z-image", lambda: None)
    seen = []
    prepare = model.pipeline.prepare_latents

    def seeing(*args: Any) -> Any:
        seen.append(args[-1].dtype)
        return prepare(*args)

    monkeypatch.setattr(model.pipeline, "prepare_latents", seeing)
    # As on a card, where the weights are kept in half as much.
    object.__setattr__(model, "dtype", torch.bfloat16)
    try:
        paint(store, ask("z-image"))
    finally:
        object.__setattr__(model, "dtype", torch.float32)
    assert seen == [torch.float32]


def test_a_controlnet_that_works_with_layers_of_the_model_leaves_them_with_it(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    followed = ask("z-image", control=Control("canny-zimage", HOUSE))
    free, first = (paint(store, request)[1] for request in (ask("z-image"), followed))
    network = store.use_control("canny-zimage", lambda: None).network
    model = store.use("z-image", lambda: None)
    own = {id(parameter) for parameter in network.parameters()}
    assert not own & {id(parameter) for parameter in model.denoiser.parameters()}
    assert network.x_pad_token is None
    turbo = paint(store, ask("z-image-turbo", guidance=1.0, control=Control("canny-zimage", HOUSE)))[1]
    assert len({pixels(made).tobytes() for made in (free, first, turbo)}) == 3
    assert hashes(paint(store, followed)[1].pictures) == hashes(first.pictures)


def test_a_model_that_comes_for_its_work_comes_for_the_controlnets_too(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(catalog=with_model(known, "z-image", offload="model"), device=card())
    denoiser = store.use("z-image", lambda: None).denoiser
    came: list[bool] = []
    pre_forward = CpuOffload.pre_forward

    def seeing(hook: CpuOffload, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        came.append(module is denoiser)
        return pre_forward(hook, module, *args, **kwargs)

    monkeypatch.setattr(CpuOffload, "pre_forward", seeing)
    paint(store, ask("z-image", control=Control("canny-zimage", HOUSE)))
    assert sum(came) == 2 * 3, "in each step once for the network that works with its layers, and once for itself"


def test_where_layers_come_and_go_one_by_one_they_are_not_lent(known: Catalog) -> None:
    store = Store(catalog=with_model(known, "z-image", offload="group"), device=card())
    with pytest.raises(UnavailableModel) as refused:
        paint(store, ask("z-image", control=Control("canny-zimage", HOUSE)))
    told = {"control": "Tiny canny Z-Image", "model": "Tiny Z-Image"}
    assert refused.value.reason == because("control_by_layers", **told)


@pytest.mark.parametrize("name", ["chroma-hd", "z-image"])
def test_kernels_that_take_no_mask_are_refused_at_the_start(name: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(f'default = "{name}"\n{tiny_families.MODELS[name]}attention = "flash"\n')
    with pytest.raises(CatalogError, match=f"models.{name}: attention: the .* family takes no other kernels"):
        reading.load(path)


def test_what_they_were_trained_in_is_what_they_are_kept_in() -> None:
    assert {FAMILIES[family].dtype for family in ("chroma", "zimage", "flux-fill")} == {"bfloat16"}


def test_published_settings_of_their_schedulers_shift_the_steps(known: Catalog, store: Store) -> None:
    times = []
    for name in ("z-image-turbo", "z-image"):
        assert np.asarray(pixels(paint(store, ask(name, guidance=1.0))[1])).std() > 1
        model = store.use(name, lambda: None)
        spacing = model.family.spacing(model.scheduler_config, 4, 128, 128)
        scheduler = type(model.pipeline.scheduler).from_config(model.scheduler_config)
        scheduler.set_timesteps(**spacing)
        times.append(scheduler.sigmas[1].item())
    # Of linear steps 1, 3/4 …: shift * t / (1 + (shift - 1) * t).
    assert times == pytest.approx([3 * 0.75 / (1 + 2 * 0.75), 6 * 0.75 / (1 + 5 * 0.75)])
