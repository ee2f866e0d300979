"""LoRAs that members have trained: named by requests alone, found by their hash, and no danger to the engine."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from inference.catalog import hashes
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import UnavailableModel
from inference.models.store import Store
from inference.protocol import Imagine, Lora, OwnLora, Ready, limits, lora_file
from tests.inference.conftest import ask_for, paint_from
from tests.inference.folders import bytes_of

paint = partial(paint_from, {})


def kept(folder: Path, file: Path, **changes: str) -> OwnLora:
    """This file as one that a member has trained."""
    sha256 = hashes.sha256(file)
    place = lora_file(folder, sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    told = {"name": "mine", "sha256": sha256, "family": "sd1"}
    return OwnLora(**(told | changes))


def painted(store: Store, request: Imagine) -> bytes:
    """The pixels of a request's first picture."""
    return Image.open(io.BytesIO(bytes_of(paint(store, request)[1].pictures[0]))).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "loras"


@pytest.fixture
def own_store(known: Catalog, cpu: Device, folder: Path) -> Store:
    return Store(catalog=known, device=cpu, loras=folder)


@pytest.fixture
def ink(known: Catalog) -> Path:
    return known.folder / known.loras["ink"].place


def test_a_members_lora_works_as_one_of_the_catalogue_does_and_its_recipe_has_its_hash(
    own_store: Store, folder: Path, ink: Path
) -> None:
    base, of_catalog = painted(own_store, ask_for()), painted(own_store, ask_for(loras=(Lora("ink", 0.8),)))
    own = kept(folder, ink)
    asked = ask_for(loras=(Lora("mine", 0.8),), own_loras=(own,))
    assert painted(own_store, asked) == of_catalog
    assert painted(own_store, ask_for()) == base
    recipe = paint(own_store, asked)[1].recipe
    assert recipe["loras"] == [{"name": "mine", "weight": 0.8, "hash": own.sha256[:10]}]
    # The same name is another one to whoever has another one: what a request says of it counts.
    other = kept(folder, ink.with_name("words.safetensors"), name="ink")
    assert painted(own_store, ask_for(loras=(Lora("ink", 0.8),), own_loras=(other,))) not in (base, of_catalog)
    assert painted(own_store, ask_for(loras=(Lora("ink", 0.8),))) == of_catalog


def test_a_tag_that_a_wildcard_draws_means_it_by_its_name(own_store: Store, folder: Path, ink: Path) -> None:
    own = kept(folder, ink)
    plain = painted(own_store, ask_for(loras=(Lora("mine", 0.8),), own_loras=(own,)))
    for tag in ("<lora:mine:0.8>", "<lora:MINE:0.8>", "<lora:mine>"):
        request = ask_for(own_loras=(msgspec.structs.replace(own, weight=0.8),))
        drawn = msgspec.structs.replace(request, prompt=f"{request.prompt} {{{tag}|{tag}}}")
        assert painted(own_store, drawn) == plain, tag
    # Without it nobody knows what the tag means, and that is said.
    unknown = msgspec.structs.replace(drawn, own_loras=())
    [note] = paint(own_store, unknown)[1].answer.notes
    assert isinstance(note, msgspec.Struct)
    assert "lora_not_drawn" in str(note)


def test_what_can_be_asked_is_the_same_rule_as_of_the_catalogue(ready: Ready, folder: Path, ink: Path) -> None:
    own = kept(folder, ink)

    def problem(**changes: object) -> str | None:
        found = limits.problem(ask_for(**{"loras": (Lora("mine", 0.8),), "own_loras": (own,), **changes}), ready)
        return None if found is None else found.name

    assert problem() is None
    assert problem(own_loras=()) == "no_lora"
    assert problem(loras=(Lora("mine", 9.0),)) == "lora_weight"
    assert problem(loras=(Lora("mine", 1.0), Lora("mine", 1.0))) == "lora_twice"
    assert problem(own_loras=(msgspec.structs.replace(own, family="sdxl"),)) == "lora_of_others"
    assert problem(loras=(), prompt="a house {<lora:mine>|}") is None
    assert problem(loras=(), own_loras=(), prompt="a house {<lora:mine>|}") == "no_lora"
    info = ready.own_lora(own, "minestyle")
    assert "sd15" in info.models
    assert "sdxl" not in info.models
    assert [one.name for one in ready.with_own([info]).loras] == ["mine", *(one.name for one in ready.loras)]


def test_files_that_are_gone_or_changed_or_foreign_are_one_sentence_and_the_next_picture_is_painted(
    own_store: Store, folder: Path, ink: Path, tmp_path: Path
) -> None:
    base = painted(own_store, ask_for())

    def refused(own: OwnLora) -> str:
        with pytest.raises(UnavailableModel) as error:
            paint(own_store, ask_for(loras=(Lora(own.name, 0.8),), own_loras=(own,)))
        return error.value.reason.name

    own = kept(folder, ink)
    place = lora_file(folder, own.sha256)
    place.write_bytes(place.read_bytes()[:-1] + b"\0")
    assert refused(own) == "lora_unusable", "another file of the same name"
    place.unlink()
    assert refused(own) == "lora_file_gone"
    foreign = {
        "empty": b"",
        "cut": ink.read_bytes()[:200],
        "a pickle": b"\x80\x02}q\x00.",
        "nothing in it": b"\x02\0\0\0\0\0\0\0{}",
        "an absurd header": (2**62).to_bytes(8, "little") + b"{}",
    }
    for name, content in foreign.items():
        (tmp_path / "file.safetensors").write_bytes(content)
        assert refused(kept(folder, tmp_path / "file.safetensors")) == "lora_unusable", name
    assert refused(kept(folder, ink.with_name("flux.safetensors"))) == "lora_unusable"
    assert painted(own_store, ask_for()) == base
    without = replace(own_store, loras=None)
    with pytest.raises(UnavailableModel, match="lora_file_gone"):
        paint(without, ask_for(loras=(Lora("mine", 0.8),), own_loras=(own,)))


def test_a_request_with_a_hash_that_leads_elsewhere_is_no_request() -> None:
    told = msgspec.json.encode(ask_for(own_loras=({"name": "a", "sha256": "../../x", "family": "sd1"},)))
    with pytest.raises(msgspec.ValidationError, match="own_loras"):
        msgspec.json.decode(told, type=Imagine)
