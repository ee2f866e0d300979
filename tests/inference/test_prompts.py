"""Words as tensors: weights, long prompts, and what stays bit for bit what diffusers makes of it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from inference.catalog.reading import Catalog
from inference.families import FAMILIES
from inference.families.words import POOLED
from inference.models import prompts
from inference.models.prompts import Encoded, PromptEncoder
from inference.models.store import Store
from inference.painting import setups
from inference.protocol import Imagine, because
from tests.inference.conftest import ask_for
from tests.inference.families.test_records import OF_EACH
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_imagine import for_model, paint, pixels

WEIGHED = ["sd15", "sd21", "sdxl"]
WINDOW = 16
"""Tokens that the tiny text encoders read at once, their marks among them; every letter is a token."""

LONG = " ".join(f"word{number}" for number in range(200))


def pipeline(store: Store, name: str) -> Any:
    return store.use(name, lambda: None).pipeline


def encoder(store: Store, name: str) -> PromptEncoder:
    """An encoder that has encoded nothing yet."""
    model = store.use(name, lambda: None)
    return PromptEncoder(model.pipeline, model.family.words)


def of_diffusers(store: Store, name: str, prompt: str, negative: str | None) -> Encoded:
    with torch.no_grad():
        encoded = pipeline(store, name).encode_prompt(
            prompt=prompt,
            negative_prompt=negative,
            device="cpu",
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
        )
    return dict(zip(POOLED, encoded, strict=False))


def same(first: Encoded, second: Encoded) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", WEIGHED)
@pytest.mark.parametrize("negative", ["", "blue"])
def test_words_without_weights_are_bit_for_bit_what_diffusers_makes_of_them(
    name: str, negative: str, store: Store
) -> None:
    ours = encoder(store, name).encode("a red house", negative, guided=True)
    assert same(ours, of_diffusers(store, name, "a red house", negative or None))


@pytest.mark.parametrize("name", [name for name in OF_EACH if FAMILIES[name].words.apart])
@pytest.mark.parametrize("negative", ["", "blue"])
def test_sides_that_are_kept_apart_have_the_bits_of_being_read_together(
    name: str, negative: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, apart = encoder(store, OF_EACH[name]), encoder(store, OF_EACH[name])
    monkeypatch.setattr(whole, "_words", replace(whole._words, apart=False))
    apart.encode("a blue boat", negative, guided=True)
    assert same(whole.encode("a red house", negative, guided=True), apart.encode("a red house", negative, guided=True))


@pytest.mark.parametrize("name", WEIGHED)
@pytest.mark.parametrize("negative", ["", "blue", "(blue:1.5)", LONG], ids=["none", "plain", "weighed", "long"])
def test_a_text_that_was_read_before_is_not_read_again_on_either_side(
    name: str, negative: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, read = encoder(store, name), list[str]()
    encode = PromptEncoder._read
    monkeypatch.setattr(
        PromptEncoder, "_read", lambda own, text, *a, **k: read.append(text) or encode(own, text, *a, **k)
    )
    words.encode("a red house", negative, guided=True)
    words.encode("a cat", negative, guided=True)
    words.encode(negative or "a cat", "a red house", guided=True)
    words.encode("a cat", "", guided=False)
    assert read == ["a red house", negative, "a cat"]
    assert FAMILIES[store.catalog.models[name].family].words.apart, "as every one whose words are weighed"


@pytest.mark.parametrize("name", WEIGHED)
def test_weight_1_is_bit_for_bit_no_weight(name: str, store: Store) -> None:
    plain = encoder(store, name).encode("a red house", "blue", guided=True)
    assert same(plain, encoder(store, name).encode("a (red:1.0) house", "[(blue)]", guided=True))
    assert not same(plain, encoder(store, name).encode("a (red:1.01) house", "blue", guided=True))


@pytest.mark.parametrize("name", WEIGHED)
def test_a_weight_on_one_side_leaves_the_other_side_its_bits(name: str, store: Store) -> None:
    plain = encoder(store, name).encode("a red house", "blue", guided=True)
    weighed = encoder(store, name).encode("a red house", "(blue:1.5)", guided=True)
    assert torch.equal(plain["prompt_embeds"], weighed["prompt_embeds"])
    assert not torch.equal(plain["negative_prompt_embeds"], weighed["negative_prompt_embeds"])
    assert "negative_prompt_embeds" not in encoder(store, name).encode("a (red) house", "(blue)", guided=False)


@pytest.mark.parametrize("name", WEIGHED)
def test_more_weight_takes_a_words_states_further_from_those_of_no_words(name: str, store: Store) -> None:
    empty = encoder(store, name).encode("", "", guided=True)["prompt_embeds"]
    tokens = slice(2, 5)
    """`red`, after the mark and `a`."""

    def distance(prompt: str) -> float:
        states = encoder(store, name).encode(prompt, "", guided=True)["prompt_embeds"]
        return float((states - empty)[:, tokens].norm())

    plain = distance("a red house")
    assert distance("a (red:1.5) house") == pytest.approx(1.5 * plain, rel=1e-4)
    assert distance("a ((red)) house") == pytest.approx(1.21 * plain, rel=1e-4)
    assert distance("a [red] house") < plain
    others = encoder(store, name).encode("a (red:1.5) house", "", guided=True)["prompt_embeds"][:, 5:]
    assert torch.equal(others, encoder(store, name).encode("a red house", "", guided=True)["prompt_embeds"][:, 5:])


@pytest.mark.parametrize("name", WEIGHED)
def test_a_word_of_weight_0_is_as_good_as_not_seen_by_those_after_it(name: str, store: Store) -> None:
    def last(prompt: str) -> torch.Tensor:
        return encoder(store, name).encode(prompt, "", guided=True)["prompt_embeds"][:, 5:]

    plain, half, none = last("a red house"), last("a (red:0.5) house"), last("a (red:0) house")
    assert 0 < (half - plain).norm() < (none - plain).norm()


@pytest.mark.parametrize("name", WEIGHED)
def test_long_prompts_are_read_to_the_end_in_windows_and_both_sides_have_as_many(name: str, store: Store) -> None:
    long = encoder(store, name).encode(LONG, "blue", guided=True)
    windows, rest = divmod(long["prompt_embeds"].shape[1], WINDOW)
    assert (windows > 60, rest) == (True, 0)
    assert long["negative_prompt_embeds"].shape == long["prompt_embeds"].shape
    # The negative prompt's own window, then windows of nothing.
    short = of_diffusers(store, name, "a", "blue")["negative_prompt_embeds"]
    nothing = of_diffusers(store, name, "", "")["prompt_embeds"]
    assert torch.equal(long["negative_prompt_embeds"], torch.cat([short, *[nothing] * (windows - 1)], dim=1))
    negative = encoder(store, name).encode("a red house", LONG, guided=True)
    assert torch.equal(negative["negative_prompt_embeds"], long["prompt_embeds"])
    assert torch.equal(
        negative["prompt_embeds"][:, :WINDOW], of_diffusers(store, name, "a red house", "")["prompt_embeds"]
    )


def test_sdxl_has_zeros_for_an_absent_negative_prompt_however_long_the_other_is(store: Store) -> None:
    assert not encoder(store, "sdxl").encode(LONG, "", guided=True)["negative_prompt_embeds"].any()


@pytest.mark.parametrize("name", WEIGHED)
def test_a_prompt_that_just_fits_has_one_window(name: str, store: Store) -> None:
    for letters, length in ((WINDOW - 2, WINDOW), (WINDOW - 1, 2 * WINDOW)):
        states = encoder(store, name).encode(" ".join("a" * letters), "", guided=True)["prompt_embeds"]
        assert states.shape[1] == length


def test_long_prompts_are_kept_as_far_as_they_leave_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    words = encoder(store, "sd15")
    short, long = words.encode("a red house", "", guided=True), words.encode(LONG, "", guided=True)
    assert words.encode("a red house", "", guided=True) is short
    monkeypatch.setattr(prompts, "KEPT_BYTES", sum(tensor.nbytes for tensor in long.values()))
    other = words.encode(f"{LONG} and more", "", guided=True)
    assert words.encode(f"{LONG} and more", "", guided=True) is other
    assert words.encode("a red house", "", guided=True) is not short


@pytest.mark.parametrize("name", WEIGHED)
@pytest.mark.parametrize(
    "prompt",
    [
        "( :0.5) a (:0.5) b",
        "(!!!:0.5) ! (! !:0.7) !!",
        "<|endoftext|> (a:0.5) <|startoftext|> [b <|endoftext|> c]",
        f"({LONG}:0.8) and [{LONG}]",
        ", ".join(["!"] * 60) + " [!] (!, b:0.3)",
        "({a|b}:0.5) 红色 (é:0.9) \u200b[\u200b]",
    ],
)
def test_odd_prompts_can_be_weighed(name: str, prompt: str, store: Store) -> None:
    states = encoder(store, name).encode(prompt, prompt, guided=True)
    assert torch.isfinite(states["prompt_embeds"]).all()
    assert torch.equal(states["prompt_embeds"], states["negative_prompt_embeds"])


@pytest.mark.parametrize("name", WEIGHED)
def test_the_last_of_two_hundred_words_changes_the_picture(name: str, known: Catalog, store: Store) -> None:
    first, second = (paint(store, for_model(name, known, prompt=f"{LONG} {last}"))[1] for last in ("cat", "dog"))
    assert not (pixels(first.pictures[0]) == pixels(second.pictures[0])).all()


@pytest.mark.parametrize("name", WEIGHED)
def test_weights_change_the_picture(name: str, known: Catalog, store: Store) -> None:
    plain, weighed = (
        paint(store, for_model(name, known, prompt=prompt))[1] for prompt in ("a red cat", "a (red:3) cat")
    )
    assert not (pixels(plain.pictures[0]) == pixels(weighed.pictures[0])).all()
    assert weighed.answer.notes == ()


@pytest.mark.parametrize("name", [*WEIGHED, "sdxl-turbo"])
def test_prompts_of_different_lengths_in_one_pass_leave_each_other_their_bytes(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)

    def request(job: int, prompt: str) -> Imagine:
        return for_model(name, known, job=job, prompt=prompt, count=2)

    prompts = {1: "a red house", 2: LONG, 3: "a (blue:1.4) boat", 4: f"{LONG} and more"}
    alone = {job: hashes(paint(store, request(job, prompt))[job].pictures) for job, prompt in prompts.items()}
    together = paint(store, *(request(job, prompt) for job, prompt in prompts.items()))
    assert {job: hashes(finished.pictures) for job, finished in together.items()} == alone


def test_a_model_that_cannot_weigh_reads_the_plain_words_and_says_so(known: Catalog, store: Store) -> None:
    plain = paint(store, for_model("sd35", known, prompt="a red house", negative="blue"))[1]
    weighed = paint(store, for_model("sd35", known, prompt="a (red:1.4) [house]", negative="((blue))"))[1]
    assert (pixels(plain.pictures[0]) == pixels(weighed.pictures[0])).all()
    assert plain.answer.notes == ()
    assert weighed.answer.notes == (because("weights_left_out", model="Tiny 3.5"),)


def test_the_parameters_keep_the_weights_as_they_were_typed(store: Store) -> None:
    finished = paint(store, ask_for(prompt="a ((red)) house", negative="[blue]"))[1]
    parameters = Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).info["parameters"]
    assert parameters.splitlines()[:2] == ["a ((red)) house", "Negative prompt: [blue]"]
    assert finished.recipe["request"]["prompt"] == "a ((red)) house"
