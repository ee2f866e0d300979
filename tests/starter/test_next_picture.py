"""The next set's picture model: how it grows from today's, its words, and that what it writes can be painted with."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from starter.next.captions import ALL, PLAIN, caption, caption_zh, vocabulary
from starter.next.picture import grown_unet, keep_latents, picture_tableaux
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.stages import run_picture
from starter.next.tableau import HELD_OUT, HELD_OUT_WORDS, THINGS, spelling
from starter.next.vae import LATENTS, new_vae
from starter.next.words import (
    CHINESE,
    CHINESE_OF_SEVERAL,
    POSITIONS,
    Binding,
    Spelling,
    grown_text_encoder,
    new_tokenizer,
    say,
)
from starter.painter import Pipeline, load_picture
from starter.train import loop
from starter.train.export import replacing
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.text import new_text_encoder, tokenize
from starter.train.told import UNTOLD
from starter.world import COLOURS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def known() -> Pipeline:
    return load_picture().to("cpu")


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return new_tokenizer()


@torch.no_grad()
def test_grown_unet_begins_with_what_the_known_one_paints(known: Pipeline) -> None:
    torch.manual_seed(0)
    unet = grown_unet(known.unet).eval()
    latents, words, time = torch.randn(2, LATENTS, 16, 16), torch.randn(2, 20, 128), torch.tensor([100, 800])
    painted = unet(latents, time, encoder_hidden_states=words).sample
    before = known.unet(latents[:, :4], time, encoder_hidden_states=words).sample
    assert torch.allclose(painted[:, :4], before, atol=1e-4)
    assert not painted[:, 4:].any()


@torch.no_grad()
def test_grown_tower_says_of_known_words_what_the_known_tower_says(known: Pipeline, tokenizer: CLIPTokenizer) -> None:
    tower = grown_text_encoder(tokenizer, known.text_encoder, known.tokenizer).eval()
    for text in ("a red house on a meadow at night", "three blue boats at sea, pixel art"):
        ids, other = tokenize(tokenizer, [text]), tokenize(known.tokenizer, [text])
        length = int((other[0] == known.tokenizer.eos_token_id).nonzero()[0])
        states, before = tower(ids).last_hidden_state, known.text_encoder(other).last_hidden_state
        assert ids.shape == (1, POSITIONS)
        assert torch.allclose(states[0, :length], before[0, :length], atol=1e-4), text


def test_every_part_of_what_is_grown_learns(known: Pipeline, tokenizer: CLIPTokenizer) -> None:
    unet = grown_unet(known.unet).requires_grad_(True)
    tower = grown_text_encoder(tokenizer, known.text_encoder, known.tokenizer).requires_grad_(True)
    states = tower(tokenize(tokenizer, ["一只黑色的狗"])).last_hidden_state
    unet(
        torch.randn(1, LATENTS, 16, 16), torch.tensor([500]), encoder_hidden_states=states
    ).sample.square().sum().backward()
    assert unet.conv_in.weight.grad[:, 4:].abs().sum() > 0
    (
        unet(torch.randn(1, LATENTS, 16, 16), torch.tensor([500]), encoder_hidden_states=states.detach()).sample - 1
    ).square().sum().backward()
    assert unet.conv_out.weight.grad[4:].abs().sum() > 0
    assert tower.encoder.layers[2].mlp.fc2.weight.grad.abs().sum() > 0


def test_every_caption_of_both_languages_fits_the_tower(tokenizer: CLIPTokenizer) -> None:
    rng = random.Random(1)
    for tableau in sample_tableaux(400, seed=9, word_share=0.3):
        for text in (caption(tableau, rng), caption_zh(tableau, rng)):
            assert len(tokenizer(text).input_ids) <= POSITIONS, text


def test_words_are_single_tokens_and_signs_are_spelt(tokenizer: CLIPTokenizer) -> None:
    for text, tokens in (
        ("a black cat to the left of a red house", 10),
        ("一只黑色的狗在一座红色的城堡的左边", 12),
        ("two green turtles behind a purple castle in the rain", 10),
        ("a sign that says JZQX", 8),
        ("写着“JZQX”的牌子", 8),
    ):
        assert len(tokenizer(text).input_ids) == tokens + 2, text


def test_tokens_have_the_same_numbers_every_time(tokenizer: CLIPTokenizer) -> None:
    assert new_tokenizer().get_vocab() == tokenizer.get_vocab()


def test_every_word_of_captions_is_one_token_and_words_of_signs_are_letters(tokenizer: CLIPTokenizer) -> None:
    for word in vocabulary():
        # Two Chinese words in a row may make a third one.
        assert len(tokenizer.tokenize(word)) == 1 or not word.isascii(), word
    for word in HELD_OUT_WORDS:
        *inner, last = word.lower()
        assert tokenizer.tokenize(f'a sign that says "{word}", flat')[5:-3] == [*inner, f"{last}</w>"], word


def test_tokenizer_is_written_and_read_by_the_ordinary_class(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    read, rng = CLIPTokenizer.from_pretrained(tmp_path), random.Random(4)
    for tableau in sample_tableaux(100, seed=12, word_share=0.5):
        for text in (caption(tableau, rng), caption_zh(tableau, rng)):
            assert read(text).input_ids == tokenizer(text).input_ids, text


def test_letters_are_told_from_words_and_by_their_place(tokenizer: CLIPTokenizer) -> None:
    letters = Spelling(tokenizer, 32, CPU)
    texts = ["a sign that says CAFE in a boat", "写着“ZOO”的牌子", "a cat", 'a "GO", "WORLDWIDE"']
    places = [[p for p in row if p >= 0] for row in letters.placed(tokenize(tokenizer, texts)).tolist()]
    assert places == [[0, 1, 2, 3], [0, 1, 2], [], [0, 1, 0, 1, 2, 3, 4]]
    ids = tokenize(tokenizer, texts[:2])
    told = [[chr(97 + letter) for letter in row] for row in letters.letter(ids).tolist()]
    spelt = letters.placed(ids) >= 0
    assert [
        "".join(letter for letter, is_spelt in zip(*row, strict=True) if is_spelt)
        for row in zip(told, spelt.tolist(), strict=True)
    ] == ["cafe", "zoo"]


def test_spelling_is_learnt_and_nothing_is_asked_of_what_is_not_spelt(tokenizer: CLIPTokenizer) -> None:
    torch.manual_seed(0)
    lost_of = Spelling(tokenizer, 32, CPU)
    tower = new_text_encoder(tokenizer, width=32, layers=1, positions=POSITIONS).requires_grad_(True)
    rng = random.Random(6)

    def lost(words: int) -> torch.Tensor:
        ids = tokenize(tokenizer, [f"a {rng.choice(['red', 'blue'])} cat, {spelling(rng)}" for _ in range(words)])
        return lost_of(ids, tower(ids).last_hidden_state)

    optimizer = torch.optim.Adam(tower.parameters(), lr=3e-3)
    before = float(lost(64).detach())
    for _ in range(60):
        optimizer.zero_grad()
        lost(32).backward()
        optimizer.step()
    assert float(lost(64).detach()) < 0.3 * before
    # All of it is there: how long the word is, which of it each letter is, and which letter.
    ids = tokenize(tokenizer, ["a red cat, QVJXB"])
    states = tower(ids).last_hidden_state
    spelt = lost_of.placed(ids) >= 0
    end = states[0, (ids[0] == tokenizer.eos_token_id).int().argmax()]
    assert int((end @ lost_of.lengths.T).argmax()) == 4
    assert (states[spelt] @ lost_of.places.T).argmax(-1).tolist() == [0, 1, 2, 3, 4]
    assert "".join(chr(97 + letter) for letter in (states[spelt] @ lost_of.letters.T).argmax(-1).tolist()) == "qvjxb"
    ids = tokenize(tokenizer, ["a red cat at sea"])
    assert lost_of(ids, tower(ids).last_hidden_state) == 0


def test_colours_belong_to_the_noun_that_comes_next(tokenizer: CLIPTokenizer) -> None:
    binding = Binding(tokenizer, 64, CPU)
    told = {
        "in a green field a scarlet dog, two cats and a blue hot-air balloon": [
            ("dog", "red", 0), ("cat", None, 1), ("balloon", "blue", 2),
        ],
        "a white cup of coffee to the right of three violet puppies": [("cup", "white", 0), ("dog", "purple", 1)],
        "一只黄色机器人在一座橙色的城堡的左边，一只鱼": [
            ("robot", "yellow", 0), ("castle", "orange", 1), ("fish", None, 2),
        ],
        "一个橙色的杯子": [("cup", "orange", 0)],
        "a car, a cat, a dog, a red fish": [
            ("car", None, 0), ("cat", None, 1), ("dog", None, 2), ("fish", "red", None),
        ],
        'among the stars a red thing and a cat with a sign that says "HOUSE"': [(None, "red", 0), ("cat", None, 1)],
        "a purple star in space among the stars, a sign saying BIRD": [("star", "purple", 0)],
        "一只猫和写着“CAT”的牌子": [("cat", None, 0)],
        "a sign that says CAT": [],
    }  # fmt: skip
    ids = tokenize(tokenizer, list(told))
    rows = zip(ids, binding.coloured(ids), binding.ordered(ids), told.values(), strict=True)
    for row, colours, order, wanted in rows:
        things = binding.things[row]
        found = [
            (
                THINGS[int(things[n])] if things[n] < len(THINGS) else None,
                None if colours[n] == UNTOLD else COLOURS[int(colours[n])],
                None if order[n] == UNTOLD else int(order[n]),
            )
            for n in binding.nouns(row[None])[0].nonzero()[:, 0]
        ]
        assert found == wanted


def test_every_thing_and_colour_that_is_asked_for_is_bound(tokenizer: CLIPTokenizer) -> None:
    binding, rng = Binding(tokenizer, 64, CPU), random.Random(12)
    for tableau in sample_tableaux(200, seed=13, kinds=(2, 3)):
        for text in (caption(tableau, rng, ALL, PLAIN), caption_zh(tableau, rng, ALL, PLAIN)):
            ids = tokenize(tokenizer, [text])
            told = zip(binding.things[ids][0].tolist(), binding.coloured(ids)[0].tolist(), strict=True)
            asked = {(THINGS.index(s.thing), COLOURS.index(s.colour)) for s in tableau.subjects}
            assert asked <= set(told), text


def test_binding_is_learnt_and_costs_nothing_where_nothing_is_named(tokenizer: CLIPTokenizer) -> None:
    torch.manual_seed(0)
    lost_of = Binding(tokenizer, 64, CPU)
    tower = new_text_encoder(tokenizer, width=64, layers=1, positions=POSITIONS).requires_grad_(True)
    rng = random.Random(6)

    def texts(number: int) -> list[str]:
        names = [rng.choices(COLOURS, k=2) + rng.sample(("cat", "house", "boat", "dog"), 2) for _ in range(number)]
        return [f"a {one} {this} and a {other} {that}" for one, other, this, that in names]

    optimizer = torch.optim.Adam(tower.parameters(), lr=3e-3)
    for _ in range(80):
        ids = tokenize(tokenizer, texts(32))
        optimizer.zero_grad()
        lost_of(ids, tower(ids).last_hidden_state).backward()
        optimizer.step()
    ids = tokenize(tokenizer, texts(64))
    states, nouns = tower(ids).last_hidden_state, lost_of.nouns(ids)
    wanted = (lost_of.things[ids], lost_of.coloured(ids), lost_of.ordered(ids))
    for directions, told in zip(lost_of.directions, wanted, strict=True):
        right = (states[nouns] @ directions.T).argmax(-1) == told[nouns]
        assert float(right.float().mean()) > 0.95
    # What a thing is called that is left open says no thing, but its colour and its place.
    ids = tokenize(tokenizer, ["a red thing and a blue thing"])
    assert 0 < float(lost_of(ids, tower(ids).last_hidden_state).detach()) < 20
    ids = tokenize(tokenizer, ["at sea by night", ""])
    assert lost_of(ids, tower(ids).last_hidden_state) == 0


def test_both_languages_are_taught() -> None:
    for kinds, share in (((1,), CHINESE), ((2, 3), CHINESE_OF_SEVERAL)):
        rng = random.Random(2)
        said = [say(tableau, rng) for tableau in sample_tableaux(600, seed=10, kinds=kinds)]
        chinese = sum(any("一" <= letter <= "鿿" for letter in text) for text in said)
        assert chinese / 600 == pytest.approx(share, abs=0.06)


def test_curriculum_begins_with_single_large_things_and_holds_out_what_it_must() -> None:
    easy, full, signed, large = picture_tableaux(600, 1500, 300, 200).values()
    assert all(len(t.subjects) == 1 and t.subjects[0].count == 1 and t.subjects[0].size != "small" for t in easy)
    assert {len(t.subjects) for t in full} == {1, 2, 3}
    assert all(t.aligned for t in easy + full + signed + large)
    assert any(t.word for t in easy)
    words = [sum(t.word is not None for t in some) / len(some) for some in (full, signed)]
    assert words == pytest.approx([0.2, 0.7], abs=0.08)
    shown = [s for t in easy + full + signed + large for s in t.subjects]
    assert {s.thing for s in shown} == set(THINGS)
    for s in shown:
        assert (s.thing, s.colour) not in HELD_OUT
        assert (s.thing, s.blend) not in HELD_OUT
    assert sum(t.subjects[0].blend is not None for t in full) == 300


def test_more_tableaux_begin_with_the_same() -> None:
    more = picture_tableaux(60, 100, 40, 50)
    for name, few in picture_tableaux(30, 40, 10, 20).items():
        assert more[name][: len(few)] == few


def test_latents_are_kept_in_parts_and_made_anew_for_another_vae(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae, tableaux, path = new_vae((8, 8, 8, 8)).eval(), sample_tableaux(5, seed=3), tmp_path / "latents.pt"
    keep_latents(path, vae, tableaux[:2], part=2)
    grown = keep_latents(path, vae, tableaux, part=2)
    # Batches of other sizes differ in the last bits.
    assert torch.allclose(grown, keep_latents(tmp_path / "other.pt", vae, tableaux), atol=1e-3)
    assert (grown.shape, grown.dtype) == ((5, LATENTS, 16, 16), torch.float16)
    torch.save(torch.load(path) | {"latents": grown + 1}, path)
    assert torch.equal(keep_latents(path, vae, tableaux), grown + 1)
    assert not torch.equal(keep_latents(path, vae, sample_tableaux(5, seed=4)), grown + 1)
    assert keep_latents(tmp_path / "large.pt", vae, tableaux[:2], side=256).shape == (2, LATENTS, 32, 32)
    other = new_vae((8, 8, 8, 8)).eval()
    assert not torch.equal(keep_latents(path, other, tableaux), grown + 1)


def test_written_picture_model_paints_128_px(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY_S", -1.0)
    plan = Plan(CPU, build=tmp_path / "build", models=tmp_path / "models")
    torch.manual_seed(0)
    with replacing(plan.models / "vae") as part:
        new_vae((8, 8, 8, 8)).half().save_pretrained(part)
    figures = run_picture(plan, Budget(steps=1), easy=2, full=4, signed=2, large=2)
    assert {"spelling", "binding", "readings"} <= set(json.loads((plan.build / "picture.jsonl").read_text()))
    # What is read from the features is trained along, and not exported.
    assert any(name.startswith("readings.") for name in torch.load(plan.build / "picture.pt")["average"])
    assert torch.load(plan.build / "latents-large.pt")["latents"].shape == (2, LATENTS, 32, 32)
    assert figures["latent_scale"] == load_picture(plan.models / "picture").vae.config.scaling_factor
    painted = load_picture(plan.models / "picture")("一只黑色的狗和一座红色的房子", num_inference_steps=2).images[0]
    assert painted.size == (128, 128)
    assert (plan.models / "picture" / "vocabulary.txt").read_text(encoding="utf-8").splitlines() == vocabulary()
    # Another checkout has the written model and no checkpoint.
    elsewhere = replace(plan, build=tmp_path / "elsewhere", onward=True)
    before = load_picture(plan.models / "picture").unet.state_dict()
    run_picture(elsewhere, Budget(steps=0), easy=2, full=4, signed=2, large=2)
    after = load_picture(plan.models / "picture").unet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for settings in (plan.models / "picture").rglob("*.json"):
        assert str(tmp_path) not in settings.read_text(), settings
    assert paint_all(sample_tableaux(1, seed=1)).shape[-1] == painted.width
