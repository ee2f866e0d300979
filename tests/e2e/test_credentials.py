"""Every picture that goes out is signed, and says what it was made of: the real bot, read with C2PA's own reader."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from PIL import Image

from bot.credentials.certificates import FILE
from bot.pictures import manifests
from inference.protocol import declared_source, sha256_of
from sandbox.client.member import File, Json, Member, text_of
from starter.render import render
from tests.credentials import bears, camera, told
from tests.e2e.asking import BOATS, QUICK, finished, forgotten, number, picture
from tests.e2e.conftest import Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNTRUSTED = {"signingCredential.untrusted"}
"""Nobody has heard of an authority that Easel made."""

CREATED = ("c2pa.created", "trainedAlgorithmicMedia", "starter")
EDITED = [("c2pa.opened", None, None), ("c2pa.edited", "compositeWithTrainedAlgorithmicMedia", "starter")]


async def shown(member: Member, command: str, options: Json | None = None, **files: File) -> tuple[Json, list[bytes]]:
    """The message and the pictures of a job that ends well, as they went out."""
    message = await finished(member, await member.command(command, options, files=files))
    pictures = await member.pictures(message)
    assert pictures, text_of(message)
    return message, pictures


def kept(data: Path, signed: bytes) -> Path:
    """Where the picture lies that went out so."""
    sha256 = sha256_of(manifests.bare(signed))
    return data / "pictures" / sha256[:2] / f"{sha256}.png"


async def test_picture_goes_out_signed_again_the_same_and_into_what_is_made_of_it(studio: Studio, ada: Member) -> None:
    asked = f"/imagine prompt:a red house {QUICK} seed:3"
    message, [first] = await shown(ada, asked)
    made = told(first)
    assert (made.state, made.failures, made.actions, made.ingredients) == ("Valid", UNTRUSTED, [CREATED], [])
    assert made.whole["claim_generator_info"][0]["name"] == "Easel"
    assert "a red house" not in str(made.whole)
    assert picture(first).info["parameters"].startswith("a red house")
    assert kept(studio.data, first).read_bytes() == manifests.bare(first)
    assert stat.S_IMODE((studio.data / FILE).stat().st_mode) == 0o600

    # Made before, so it is given out as it was.
    _, [again] = await shown(ada, asked)
    assert again == first
    await studio.stop()
    await studio.start()
    _, [later] = await shown(ada, asked)
    assert later == first

    _, [extended] = await shown(
        ada, "edit", {"prompt": "a green meadow", "job": number(message), "extend": "right", "seed": "5"}
    )
    edited = told(extended)
    assert (edited.state, edited.actions) == ("Valid", EDITED)
    assert edited.ingredients == [("parentOf", made.label, UNTRUSTED)]
    # From the menu of whoever has downloaded it, it is the same.
    _, [larger] = await shown(ada, "upscale", {"factor": 2}, image=("downloaded.png", extended))
    enlarged = told(larger)
    assert enlarged.state == "Valid"
    assert [action for action, _, _ in enlarged.actions] == ["c2pa.opened", "c2pa.edited"]
    assert enlarged.actions[1][1] == declared_source(larger) == "compositeWithTrainedAlgorithmicMedia"
    assert enlarged.ingredients == [("parentOf", edited.label, UNTRUSTED)]


async def test_manifest_of_an_upload_goes_on_with_what_its_validation_said_until_all_is_deleted(
    studio: Studio, ada: Member, tmp_path: Path
) -> None:
    def ingredients() -> set[Path]:
        return set((studio.data / "pictures").glob("*/*.ingredient"))

    before = ingredients()
    photograph = camera(render(BOATS, 256), tmp_path)
    source = told(photograph, "image/jpeg")
    asked = {"prompt": "a red boat", "strength": 0.5, "steps": 4, "seed": "5"}
    message, [painted] = await shown(ada, "imagine", asked, image=("boats.jpg", photograph))
    made = told(painted)
    assert (made.state, made.actions) == ("Valid", EDITED)
    assert made.ingredients == [("parentOf", source.label, UNTRUSTED)]
    assert len(ingredients() - before) == 1

    forged = bytearray(photograph)
    forged[-200] ^= 1
    other, [of_forged] = await shown(ada, "imagine", asked, image=("boats.jpg", bytes(forged)))
    assert told(of_forged).ingredients == [("parentOf", source.label, UNTRUSTED | {"assertion.dataHash.mismatch"})]

    chart = {"labels": "a boat, a house, a tree, a car, a star, a heart"}
    third, [classified] = await shown(ada, "classify", chart, image=("boats.jpg", photograph))
    assert told(classified).actions == [("c2pa.created", "dataDrivenMedia", "starter")]
    assert told(classified).ingredients == [("inputTo", source.label, UNTRUSTED)]
    assert len(ingredients() - before) == 2
    for each in (message, other, third):
        await forgotten(ada, each)
    assert ingredients() == before
    assert not kept(studio.data, painted).with_suffix(".c2pa").exists()


async def test_what_is_made_smaller_for_discord_is_signed_as_that(ada: Member) -> None:
    await ada.faults(attachment_size_limit=60_000)
    try:
        message, [small] = await shown(ada, f"/imagine prompt:a green tree {QUICK} seed:4")
        assert Image.open(io.BytesIO(small)).format == "WEBP"
        assert len(small) <= 60_000
        made = told(small, "image/webp")
        assert (made.state, made.actions) == ("Valid", [CREATED, ("c2pa.transcoded", None, None)])
        parts = await ada.click(message, "Original")
        originals = await ada.files(parts.message, "image/")
        kinds = {"png": "image/png", "webp": "image/webp"}
        said = [told(data, kinds[name.rpartition(".")[2]]) for name, data in originals]
        assert {each.state for each in said} == {"Valid"}
        assert {each.actions[-1][0] for each in said} <= {"c2pa.cropped", "c2pa.transcoded"}
    finally:
        await ada.faults(attachment_size_limit=10 * 2**20)


async def test_nothing_is_signed_where_the_operator_wants_that(tmp_path: Path) -> None:
    async with running(tmp_path / "data", EASEL_C2PA="off") as studio, Member(studio.sandbox.url, "Ada") as ada:
        photograph = camera(render(BOATS, 256), tmp_path)
        asked = {"prompt": "a red boat", "strength": 0.5, "steps": 4}
        _, [painted] = await shown(ada, "imagine", asked, image=("boats.jpg", photograph))
        assert not bears(painted)
        assert declared_source(painted) == "compositeWithTrainedAlgorithmicMedia"
        assert not (studio.data / FILE).exists()
        assert not list((studio.data / "pictures").glob("*/*.ingredient"))
