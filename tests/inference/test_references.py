"""Editing by instruction: what a model is shown beside the words is seen, and part of what repeats a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus
from PIL import Image, ImageDraw

from inference.catalog.reading import Catalog
from inference.models.store import Store
from inference.painting import passes, references
from inference.protocol import Batch, Failed, Finished, Hires, Imagine, Input, limits, sha256_of
from tests.inference.cards import card
from tests.inference.conftest import paint_from, uploaded, with_model
from tests.inference.folders import bytes_of, hashes, put
from tests.inference.serving import Serving
from tests.inference.test_imagine import for_model
from tests.inference.tiny import picture

FILES: dict[str, bytes] = {}
MOST = {"klein": 4, "klein-base": 4, "kontext": 1, "qwen-edit": 3}
"""How many pictures each model can be shown."""

each = pytest.mark.parametrize("name", MOST)
several = pytest.mark.parametrize("name", [name for name, most in MOST.items() if most > 1])
paint = partial(paint_from, FILES)


def given(width: int, height: int, seed: int, mode: str = "RGB") -> Input:
    found, data = uploaded(picture(width, height, mode, seed))
    FILES.update(data)
    return found


WIDE, TALL, THIRD = given(128, 64, 3), given(70, 140, 4), given(90, 90, 5)


@pytest.fixture(autouse=True, scope="module")
def _smaller() -> Iterator[None]:
    """Qwen-Image-Edit brings what it is shown to a million pixels, whatever it paints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", 96 * 96)
        patch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", 64 * 64)
        yield


def ask(name: str, known: Catalog, *shown: Input, job: int = 1, **changes: object) -> Imagine:
    asked = for_model(name, known, prompt="make it winter", width=128, height=64, references=shown)
    return msgspec.structs.replace(asked, job=job, **changes)


def pixels(finished: Finished, index: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[index]))))


def image(of: Input) -> Image.Image:
    return Image.open(io.BytesIO(FILES[of.sha256])).convert("RGB")


@each
def test_what_is_shown_changes_the_picture_and_repeats_it(name: str, known: Catalog, store: Store) -> None:
    first, again = (paint(store, ask(name, known, WIDE))[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(again.pictures)
    assert pixels(first).shape == (64, 128, 3)
    without, other = (pixels(paint(store, ask(name, known, *shown))[1]) for shown in ((), (THIRD,)))
    assert not np.array_equal(pixels(first), without)
    assert not np.array_equal(pixels(first), other)
    assert not np.array_equal(without, other)


@several
def test_pictures_are_shown_in_their_order_and_as_many_as_there_may_be(name: str, known: Catalog, store: Store) -> None:
    most = (WIDE, TALL, THIRD, WIDE)[: MOST[name]]
    seen = [pixels(paint(store, ask(name, known, *shown))[1]) for shown in ((WIDE, TALL), (TALL, WIDE), most)]
    assert not any(np.array_equal(seen[one], seen[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


@each
def test_the_engine_paints_what_the_bare_pipeline_paints(name: str, known: Catalog, store: Store) -> None:
    request = ask(name, known, *(WIDE, TALL)[: MOST[name]], steps=3)
    ours = pixels(paint(store, request)[1])
    # As large as what is painted, as its makers advise.
    sizes = [(128, 64), (64, 128)]
    seen = [image(of).resize(size, Image.Resampling.LANCZOS) for of, size in zip((WIDE, TALL), sizes, strict=True)]
    own: dict[str, dict[str, Any]] = {
        "klein": {"image": seen, "guidance_scale": 1.0},
        "klein-base": {"image": seen, "guidance_scale": 4.0},
        "kontext": {"image": seen[0], "guidance_scale": 2.5, "max_area": 128 * 64, "_auto_resize": False},
        "qwen-edit": {"image": seen, "true_cfg_scale": 4.0, "negative_prompt": " "},
    }
    bare = store.use(name, lambda: None).pipeline(
        prompt=request.prompt,
        width=128,
        height=64,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(request.seed),
        **own[name],
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


@each
def test_no_noise_is_drawn_but_from_the_requests_own_seed(name: str, known: Catalog, store: Store) -> None:
    painted = []
    for chance in (0, 1):
        torch.manual_seed(chance)
        np.random.seed(chance)
        shown = (WIDE, TALL)[: MOST[name]]
        # Read anew, not remembered.
        store.use(name, lambda: None).prompts._kept.clear()
        painted.append(hashes(paint(store, ask(name, known, *shown, count=2))[1].pictures))
    assert painted[0] == painted[1]
    assert painted[0][0] != painted[0][1]


@each
def test_a_picture_has_the_same_bytes_alone_in_a_job_of_three_and_beside_other_jobs(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.painting.setups.canonical_batch", lambda *_: 4)
    alone = paint(store, ask(name, known, WIDE, seed=8))[1]
    of_three = paint(store, ask(name, known, WIDE, seed=6, count=3))[1]
    assert np.array_equal(pixels(alone), pixels(of_three, 2))
    # Who is shown something has each pass alone, whatever its model's batch is.
    assert alone.recipe["batch"] == 1
    other = ask(name, known, WIDE, job=2, seed=99, prompt="make it a drawing of a night at sea")
    assert hashes(paint(store, other, ask(name, known, WIDE, seed=8))[1].pictures) == hashes(alone.pictures)


def test_only_requests_that_are_shown_the_same_share_a_pass_and_the_bot_knows_how_large_it_is(known: Catalog) -> None:
    assert ask("klein", known, WIDE).pass_key == ask("klein", known, WIDE, seed=3).pass_key
    assert ask("klein", known, WIDE).pass_key != ask("klein", known, TALL).pass_key
    info = with_model(known, "klein", batch=4).info("klein", on_gpu=True)
    assert [info.canonical_batch(64, 64, shown) for shown in (0, 1, 2)] == [4, 1, 1]


@each
@pytest.mark.parametrize("others", [False, True])
def test_inside_a_mask_it_is_done_and_nothing_else_changes(
    name: str, others: bool, known: Catalog, store: Store
) -> None:
    old = given(200, 120, 6)
    mask = Image.new("L", (200, 120))
    ImageDraw.Draw(mask).rectangle((20, 30, 79, 89), fill=255)
    marked, data = uploaded(mask)
    FILES.update(data)
    shown = (old, THIRD) if others and MOST[name] > 1 else (old,)
    request = ask(name, known, *shown, image=old, mask=marked, steps=3)
    first, again = (paint(store, request)[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(again.pictures)
    before, after = np.asarray(image(old)), pixels(first)
    inside = np.asarray(mask) > 0
    assert np.array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).any(1).mean() > 0.9
    unshown = paint(store, msgspec.structs.replace(request, references=()))[1]
    assert not np.array_equal(pixels(unshown)[inside], after[inside])


@each
def test_a_picture_is_shown_as_the_model_paints_it_and_where_a_part_is_painted_only_what_is_around_it(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Image.Image, ...]] = []
    show = references.shown

    def showing(*given: Any) -> Any:
        shown = show(*given)
        seen.append(shown.pictures)
        return shown

    monkeypatch.setattr(passes.references, "shown", showing)
    large = given(600, 300, 7)
    paint(store, ask(name, known, large))
    [[whole]] = seen
    assert whole.size == (128, 64)
    assert np.array_equal(np.asarray(whole), np.asarray(image(large).resize((128, 64), Image.Resampling.LANCZOS)))
    mask = Image.new("L", (600, 300))
    ImageDraw.Draw(mask).rectangle((500, 200, 520, 210), fill=255)
    marked, data = uploaded(mask)
    FILES.update(data)
    paint(store, ask(name, known, large, image=large, mask=marked))
    [part] = seen[1]
    assert part.size == (128, 64)
    corner = image(large).crop((446, 173, 574, 237))
    assert np.array_equal(np.asarray(part), np.asarray(corner))


@pytest.mark.parametrize(
    ("size", "shown_at"),
    [
        ((128, 64), (128, 64)),
        ((1280, 640), (128, 64)),
        # Near enough to be the same in the steps that sizes come in.
        ((130, 67), (128, 64)),
        ((64, 128), (64, 128)),
        ((500, 500), (96, 96)),
        # No side may be shorter than 64.
        ((800, 100), (512, 64)),
        ((8, 1), (512, 64)),
        ((1, 1), (96, 96)),
    ],
)
def test_other_pictures_keep_their_proportions_at_as_many_pixels(
    size: tuple[int, int], shown_at: tuple[int, int]
) -> None:
    beside = references.beside(Image.new("RGB", size), 128, 64, multiple=16, least=64)
    assert beside == shown_at
    assert max(beside) <= limits.MAX_REFERENCE_PROPORTION * min(beside)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(64, 32), (32, 32), (192, 16)])
def test_small_and_long_pictures_are_shown_no_smaller_than_the_model_takes(
    masked: bool, size: tuple[int, int], known: Catalog, store: Store
) -> None:
    marked, data = uploaded(Image.new("L", (128, 64), 255))
    FILES.update(data)
    part: dict[str, object] = {"image": WIDE, "mask": marked} if masked else {}
    request = ask("klein", known, WIDE, width=size[0], height=size[1], **part)
    assert pixels(paint(store, request)[1]).shape[:2] == ((64, 128) if masked else size[::-1])


@pytest.mark.parametrize("offload", ["model", "group"])
@pytest.mark.parametrize("name", ["klein", "kontext", "qwen-edit"])
def test_a_model_whose_parts_come_and_go_sees_the_same(name: str, offload: str, known: Catalog, store: Store) -> None:
    offloaded = Store(catalog=with_model(known, name, offload=offload), device=card())
    for shown in ((WIDE,), (), (TALL,)):
        made, plain = (paint(kept, ask(name, known, *shown))[1] for kept in (offloaded, store))
        assert made.recipe["policy"]["offload"] == offload
        # Where weights lie in memory can decide a last bit.
        off = abs(pixels(made).astype(int) - pixels(plain).astype(int))
        assert off.max() <= 1
        assert (off > 0).mean() < 0.001


def test_what_is_transparent_is_shown_on_white(known: Catalog, store: Store) -> None:
    hidden = picture(128, 64, "RGBA", seed=9)
    hidden.putalpha(0)
    nothing, data = uploaded(hidden)
    white, more = uploaded(Image.new("RGB", (128, 64), "white"))
    FILES.update(data | more)
    first, second = (pixels(paint(store, ask("klein", known, shown))[1]) for shown in (nothing, white))
    assert np.array_equal(first, second)


def test_words_are_read_anew_where_they_are_read_with_other_pictures(known: Catalog, store: Store) -> None:
    prompts = store.use("qwen-edit", lambda: None).prompts
    prompts._kept.clear()
    for shown in ((), (WIDE,), (WIDE,), (TALL,), (WIDE, TALL)):
        paint(store, ask("qwen-edit", known, *shown))
    # With each choice of pictures once; without any as both sides and as each of them.
    assert len(prompts._kept) == 3 + 3
    # Others read the words alone.
    prompts = store.use("klein", lambda: None).prompts
    prompts._kept.clear()
    for shown in ((), (WIDE,), (TALL,)):
        paint(store, ask("klein", known, *shown))
    assert len(prompts._kept) == 1


@each
def test_the_recipe_names_what_was_shown_and_the_picture_says_what_it_is_of(
    name: str, known: Catalog, store: Store
) -> None:
    finished = paint(store, ask(name, known, WIDE))[1]
    assert [shown["sha256"] for shown in finished.recipe["request"]["references"]] == [WIDE.sha256]
    data = bytes_of(finished.pictures[0])
    assert b"compositeWithTrainedAlgorithmicMedia" in data


@each
def test_from_a_strength_on_the_picture_itself_is_under_the_noise(name: str, known: Catalog, store: Store) -> None:
    near, far = (
        pixels(paint(store, ask(name, known, WIDE, image=WIDE, strength=strength, steps=10))[1])
        for strength in (0.1, 0.9)
    )
    assert not np.array_equal(near, far)


def test_a_second_pass_is_shown_the_same(known: Catalog, store: Store) -> None:
    hires = Hires(width=192, height=96, strength=0.5)
    once = paint(store, ask("klein", known, WIDE, hires=hires))[1]
    assert pixels(once).shape == (96, 192, 3)
    assert not np.array_equal(pixels(once), pixels(paint(store, ask("klein", known, hires=hires))[1]))


def test_the_engine_says_how_many_it_takes_shows_what_lies_in_its_folder_and_refuses_the_rest(
    known: Catalog, store: Store
) -> None:
    put(FILES)
    serving = Serving(known, store)
    try:
        ready = serving.peer.ready()
        assert {model.name: model.references for model in ready.models if model.references} == MOST
        finished = serving.peer.paint(ask("klein", known, WIDE, TALL))[1]
        assert np.array_equal(pixels(finished), pixels(paint(store, ask("klein", known, WIDE, TALL))[1]))
        refused = (
            ("no_references", ask("qwen", known, WIDE)),
            ("references", ask("kontext", known, WIDE, TALL)),
            ("references", ask("klein", known, *(WIDE,) * 5)),
            ("reference_proportions", ask("klein", known, Input("0" * 64, 900, 100))),
            ("no_pixels", ask("klein", known, Input("0" * 64, 0, 8))),
            # What is not there, is not what it was called, or is no picture.
            ("input_lost", ask("klein", known, Input("f" * 64, 64, 64))),
            ("input_size", ask("klein", known, Input(WIDE.sha256, 64, 64))),
            ("input_broken", ask("klein", known, torn())),
        )
        for job, (name, request) in enumerate(refused, start=2):
            serving.peer.send(Batch((msgspec.structs.replace(request, job=job),)))
            end = serving.peer.ends(1)[job]
            assert isinstance(end, Failed)
            assert end.reason.name == name
    finally:
        serving.peer.socket.close()
        assert serving.ended()


def torn() -> Input:
    """The beginning of a picture."""
    whole, data = uploaded(picture(64, 64, seed=11))
    cut = data[whole.sha256][:4000]
    put({sha256_of(cut): cut})
    return Input(sha256_of(cut), 64, 64)
