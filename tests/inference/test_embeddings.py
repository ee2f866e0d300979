"""Textual inversions: named in prompts, read into the text encoders, told in recipe and PNG; and what is refused."""

from __future__ import annotations

import io
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sd_parsers import ParserManager

from inference.catalog import hashes, reading
from inference.catalog.entries import EmbeddingEntry, LoraEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError
from inference.models import vectors
from inference.models.prompts import PromptEncoder
from inference.models.store import Store
from inference.models.vectors import Vectors
from inference.protocol import Finished, Imagine, Lora, because
from inference.tasks import imagine
from tests.inference import broken
from tests.inference.conftest import Record, ask_for, paint_from
from tests.inference.folders import bytes_of

WIDTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(scope="module")
def own(known: Catalog, folder: Path, cpu: Device) -> Store:
    """A store with embeddings for 1.5 and XL, in the layouts that are shared."""
    torch.manual_seed(5)
    automatic = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.randn(2, WIDTH)}, "name": "bad"}
    torch.save(automatic, folder / "bad-hands.pt")
    torch.save({"<mood>": torch.randn(WIDTH)}, folder / "mood.bin")
    save_file({"emb_params": torch.randn(3, WIDTH)}, folder / "easynegative.safetensors")
    save_file({"clip_l": torch.randn(2, WIDTH), "clip_g": torch.randn(2, WIDTH)}, folder / "xl.safetensors")
    save_file({"emb_params": torch.randn(1, 40)}, folder / "wide.safetensors")
    entries = {
        name: EmbeddingEntry(title=name, path=str(folder / file), models=models)
        for name, file, models in (
            ("easynegative", "easynegative.safetensors", ("sd15",)),
            ("bad-hands", "bad-hands.pt", ("sd15",)),
            ("mood", "mood.bin", ("sd15",)),
            ("xl-mood", "xl.safetensors", ("sdxl",)),
            ("half-xl", "easynegative.safetensors", ("sdxl",)),
            ("wide", "wide.safetensors", ("sd15",)),
            ("odd", "odd.safetensors", ("sd15",)),
            ("odd-pickle", "odd.pt", ("sd15",)),
            ("unfetched", "nothing.pt", ("sd15",)),
        )
    }
    return Store(catalog=replace(known, embeddings=entries), device=cpu)


def finished(store: Store, request: Imagine) -> Finished:
    return paint_from({}, store, request)[1]


def pixels(done: Finished) -> bytes:
    return Image.open(io.BytesIO(bytes_of(done.pictures[0]))).tobytes()


def parameters(done: Finished) -> str:
    return str(Image.open(io.BytesIO(bytes_of(done.pictures[0]))).info["parameters"])


@pytest.mark.parametrize(
    ("words", "used"),
    [
        ({"negative": "EasyNegative"}, ["easynegative"]),
        ({"negative": "blurry, embedding:bad-hands, fog"}, ["bad-hands"]),
        ({"prompt": "a red house in a Mood"}, ["mood"]),
        ({"prompt": "a (mood:1.3) house", "negative": "(bad-hands:0.7), EasyNegative.safetensors"}, None),
    ],
)
def test_its_name_in_a_prompt_changes_the_picture_and_the_recipe_and_png_tell(
    words: dict[str, str], used: list[str] | None, own: Store
) -> None:
    base = pixels(finished(own, ask_for(**dict.fromkeys(words, "a red house"))))
    done = finished(own, ask_for(**words))
    assert pixels(done) != base
    assert pixels(finished(own, ask_for(**words))) == pixels(done)
    names = [one["name"] for one in done.recipe["embeddings"]]
    assert sorted(names) == sorted(used or ["mood", "bad-hands", "easynegative"])
    for one in done.recipe["embeddings"]:
        assert one["hash"] == hashes.sha256(Path(own.catalog.embeddings[one["name"]].place))[:10]
        assert f"{one['name']}: {one['hash']}" in parameters(done)
    # What was typed stays as it was.
    for text in words.values():
        assert text in parameters(done)
    assert done.answer.notes == ()


def test_other_tools_read_back_what_worked_and_nothing_else(own: Store) -> None:
    request = ask_for(
        prompt="a [cat:dog:0.5] {<lora:ink:0.5>|<lora:ink:0.5>} <tag> AND (mood:1.2) :0.8",
        negative="EasyNegative, embedding:nobody",
        loras=(Lora("words", 1.0, 0.5),),
        clip_skip=2,
    )
    done = finished(own, request)
    read = ParserManager().parse(Image.open(io.BytesIO(bytes_of(done.pictures[0]))))
    assert read is not None
    prompt = "a [cat:dog:0.5] <tag> AND (mood:1.2) :0.8 <lora:words:0.5:1> <lora:ink:0.5>"
    assert [str(each) for each in read.samplers[0].prompts] == [prompt]
    assert read.metadata["Clip skip"] == "2"
    # By AUTOMATIC1111's own rule for a line of parameters; sd-parsers leaves out what has several colons.
    last = parameters(done).splitlines()[-1]
    fields = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last))
    for field, names in (("TI hashes", ["mood", "easynegative"]), ("Lora hashes", ["words", "ink"])):
        assert [one.partition(": ")[0] for one in json.loads(fields[field]).split(", ")] == names


def test_a_name_is_no_part_of_a_word(own: Store) -> None:
    for prompt in ("a moody house", "a mood-board", "mood.board", "xmood"):
        done = finished(own, ask_for(prompt=prompt))
        assert done.recipe["embeddings"] == []
        assert "TI hashes" not in parameters(done)


def test_signs_that_nobody_types_mean_nothing(own: Store) -> None:
    plain = pixels(finished(own, ask_for(prompt="a red house")))
    finished(own, ask_for(prompt="a mood"))
    assert pixels(finished(own, ask_for(prompt="a red house\U000f0000\0mood\0\0nobody\0".replace("mood", "")))) != b""
    assert pixels(finished(own, ask_for(prompt="a red\0 house\U000f0000"))) == plain


def test_what_is_called_an_embedding_and_is_none_is_left_out_and_told(own: Store) -> None:
    plain = finished(own, ask_for(prompt="a red house, "))
    for named in ("embedding:nobody", "embedding:unfetched", "embedding:xl-mood"):
        done = finished(own, ask_for(prompt=f"a red house, {named}"))
        assert done.answer.notes == (because("no_such_embedding", typed=named.partition(":")[2], model="Tiny 1.5"),)
        assert pixels(done) == pixels(plain)
        assert "TI hashes" not in parameters(done)


def encoder(store: Store, name: str) -> PromptEncoder:
    model = store.use(name, lambda: None)
    return PromptEncoder(model.pipeline, model.family.words)


def test_vectors_stand_where_tokens_would_and_other_words_keep_their_bits(own: Store) -> None:
    model = own.use("sd15", lambda: None)
    table = model.pipeline.text_encoder.get_input_embeddings().weight
    before = table.clone()
    plain = encoder(own, "sd15").encode("a red house", "", guided=True)["prompt_embeds"]
    # The vectors of the tokens of `red` are the same as the word.
    ids = model.pipeline.tokenizer("red").input_ids[1:-1]
    as_red = Vectors((table[ids].detach().clone(),), "a" * 64)
    [sign] = vectors.signs([as_red])
    spelled = encoder(own, "sd15").encode(f"a {sign} house", "", True, embeddings=(as_red,))["prompt_embeds"]
    assert torch.allclose(spelled, plain, atol=1e-6)
    other = Vectors((torch.randn(1, WIDTH),), "b" * 64)
    [sign] = vectors.signs([other])
    assert not torch.allclose(
        encoder(own, "sd15").encode(f"a {sign} house", "", True, embeddings=(other,))["prompt_embeds"], plain
    )
    assert torch.equal(encoder(own, "sd15").encode("a red house", "", guided=True)["prompt_embeds"], plain)
    assert torch.equal(table, before)


def test_the_end_of_the_words_is_found_behind_vectors(own: Store) -> None:
    """Some text encoders take the highest token for their end."""
    model = own.use("sdxl", lambda: None)
    encoders = [model.pipeline.text_encoder, model.pipeline.text_encoder_2]
    ids = model.pipeline.tokenizer("red").input_ids[1:-1]
    tables = tuple(one.get_input_embeddings().weight[ids].detach().clone() for one in encoders)
    as_red = Vectors(tables, "c" * 64)
    [sign] = vectors.signs([as_red])
    plain = encoder(own, "sdxl").encode("a red house", "", guided=True)
    for end in (2, model.pipeline.text_encoder_2.config.eos_token_id):
        inner = model.pipeline.text_encoder_2.text_model
        usual, inner.eos_token_id = inner.eos_token_id, end
        try:
            spelled = encoder(own, "sdxl").encode(f"a {sign} house", "", True, embeddings=(as_red,))
            for name, tensor in encoder(own, "sdxl").encode("a red house", "", guided=True).items():
                assert torch.allclose(spelled[name], tensor, atol=1e-5), (name, end)
        finally:
            inner.eos_token_id = usual
    assert plain["pooled_prompt_embeds"].shape[1] == WIDTH


def test_xl_reads_one_with_vectors_for_both_of_its_encoders(own: Store) -> None:
    plain = ask_for(model="sdxl", sampler="Euler")
    done = finished(own, ask_for(model="sdxl", sampler="Euler", prompt="a red house, xl-mood"))
    assert pixels(done) != pixels(finished(own, plain))
    assert [one["name"] for one in done.recipe["embeddings"]] == ["xl-mood"]


def test_one_that_came_with_a_lora_works_while_that_does(own: Store, folder: Path) -> None:
    torch.manual_seed(6)
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {
        f"{stem}.lora_down.weight": torch.randn(2, 16),
        f"{stem}.lora_up.weight": torch.randn(16, 2),
        "bundle_emb.glow.string_to_param.*": torch.randn(2, WIDTH),
    }
    save_file(tensors, folder / "bundle.safetensors")
    bundle = LoraEntry(title="Bundle", path=str(folder / "bundle.safetensors"), models=("sd15",))
    store = Store(catalog=replace(own.catalog, loras={"bundle": bundle}), device=own.device)
    beside = finished(store, ask_for(prompt="a red house, Glow", loras=(Lora("bundle", 1.0),)))
    assert [one["name"] for one in beside.recipe["embeddings"]] == ["glow"]
    alone = finished(store, ask_for(prompt="a red house, Glow"))
    assert alone.recipe["embeddings"] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wide", "it was made for another model: its vectors are 40 wide and the model's 32"),
        ("half-xl", "its vectors are 32 wide and the model's 32 and 32"),
    ],
)
def test_one_of_another_width_is_refused_by_name(
    name: str, said: str, own: Store, caplog: pytest.LogCaptureFixture
) -> None:
    model = own.catalog.embeddings[name].models[0]
    request = ask_for(model=model, sampler=own.catalog.models[model].sampler, prompt=f"a {name} house")
    assert refusal(own, request) == because("embedding_unusable", embedding=name, model=own.catalog.models[model].title)
    assert said in caplog.text


def refusal(store: Store, request: Imagine) -> object:
    record = Record()
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    record.report.close()
    return record.failed()[1].reason


def test_a_broken_one_fails_its_own_job_and_none_that_shares_the_pass(own: Store, folder: Path) -> None:
    (folder / "odd.safetensors").write_bytes(broken.POINTER)
    record = Record()
    requests = [ask_for(1), ask_for(2, prompt="an odd house", seed=8), ask_for(3, seed=9)]
    record.begin(*requests)
    imagine.run(requests, {}, own, record.report)
    assert sorted(record.finished()) == [1, 3]
    assert record.failed()[2].reason == because("embedding_unusable", embedding="odd", model="Tiny 1.5")


class _Code:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (Path(self.path),))


def test_a_pickle_that_would_run_code_is_not_opened(
    own: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    (folder / "odd.pt").write_bytes(pickle.dumps(_Code(str(tmp_path / "ran")), protocol=2))
    reason = refusal(own, ask_for(prompt="odd-pickle"))
    assert reason == because("embedding_unusable", embedding="odd-pickle", model="Tiny 1.5")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"a": torch.ones(1, 4), "b": torch.ones(1, 4)}, "it holds 2 tensors"),
        ({"clip_g": torch.ones(1, 4)}, "clip_g alone"),
        ({"clip_l": torch.ones(1, 4), "clip_g": torch.ones(2, 4)}, "not as many for each"),
        ({"a": torch.ones(2, 2, 2)}, "no vectors"),
        ({"a": torch.full((1, 4), float("nan"))}, "no number"),
        ({"a": torch.ones(10_000, 4)}, "no vectors"),
        ({}, "it holds 0 tensors"),
    ],
)
def test_what_is_no_embedding_says_what_it_is(tensors: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vectors.of_tensors(tensors)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('title = "A"\npath = "a.zip"\nmodels = ["sd15"]', "an embedding is a .safetensors, .pt or .bin file"),
        ('title = "A"\npath = "a.pt"\nmodels = ["flux-dev"]', "the flux family reads no embeddings"),
        ('title = "A"\npath = "a.pt"\nmodels = ["none"]', "there is no [models.none]"),
        ('title = "A"\nmodels = ["sd15"]', "path: give a file as path"),
    ],
)
def test_the_catalogue_says_what_is_wrong_with_one(known: Catalog, table: str, message: str) -> None:
    wrong = known.folder / "wrong-embedding.toml"
    wrong.write_text(f"{(known.folder / 'models.toml').read_text()}\n[embeddings.a]\n{table}\n")
    with pytest.raises(CatalogError) as refused:
        reading.load(wrong)
    assert message in str(refused.value)
