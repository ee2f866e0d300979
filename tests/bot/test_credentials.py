"""Pictures signed, uploads' manifests taken along, time stamps: in child processes as the bot has them."""

from __future__ import annotations

import asyncio
import io
import logging
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from PIL import Image

from bot.credentials import certificates, giving, issuing, signing
from bot.credentials.certificates import Certificate
from bot.credentials.giving import Credentials
from bot.credentials.signing import Seal
from bot.credentials.statements import Ingredient, Statement
from bot.errors import OperatorError, WorkFailed
from bot.pictures import decoding, manifests
from bot.pictures.decoding import Upload
from bot.pictures.kept import Pictures
from bot.pictures.workers import Workshop
from inference.pictures import images
from inference.protocol import (
    XMP_KEYWORD,
    SourceType,
    declared_source,
    leave,
    sha256_of,
    xmp,
)
from tests.credentials import TERMS, bears, camera, told
from tests.inference import certificates as throw_away
from tests.stamping import Manner, authority

UNTRUSTED = {"signingCredential.untrusted"}
SAID = Statement({"name": "a model", "version": "0123"})


def made(source: SourceType = "trainedAlgorithmicMedia", seed: int = 0, **texts: str) -> bytes:
    """A PNG as the engine makes it."""
    pixels = random.Random(seed).randbytes(3 * 64 * 64)
    return images.png(Image.frombytes("RGB", (64, 64), pixels), {**texts, XMP_KEYWORD: xmp(source)})


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certificates.made(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    opened = Pictures(tmp_path)
    opened.prepare()
    return opened


@pytest.fixture
async def workshop(pictures: Pictures) -> AsyncIterator[Workshop]:
    async with Workshop(pictures.incoming) as opened:
        yield opened


async def kept(pictures: Pictures, png: bytes) -> str:
    left = leave(pictures.incoming, png)
    await pictures.take_over(left)
    return left.sha256


@pytest.mark.parametrize("algorithm", throw_away.KEYS)
def test_picture_says_what_it_is_and_is_otherwise_as_it_was(algorithm: str, tmp_path: Path) -> None:
    seal = Seal(certificates.own(*throw_away.write(tmp_path, algorithm)))
    (tmp_path / "plain.png").write_bytes(made("compositeSynthetic", parameters="一座红色的房子"))
    signed = signing.sign(tmp_path / "plain.png", tmp_path / "none.c2pa", SAID, seal, tmp_path)
    whole = signed.file.read_bytes()
    assert told(whole).state == "Valid"
    assert told(whole).actions == [("c2pa.created", "compositeSynthetic", "a model")]
    assert told(whole).whole["signature_info"]["common_name"] == "Test studio"
    assert manifests.bare(whole) == (tmp_path / "plain.png").read_bytes()
    assert signed.manifest is not None
    again = tmp_path / "again.png"
    manifests.embed(tmp_path / "plain.png", signed.manifest.read_bytes(), again)
    assert again.read_bytes() == whole
    with Image.open(io.BytesIO(whole)) as opened:
        assert opened.text["parameters"] == "一座红色的房子"  # type: ignore[attr-defined]
    forged = whole.replace(b"Steps", b"Stops").replace(whole[-60:-40], bytes(20))
    assert told(forged).state == "Invalid"


def test_what_was_signed_goes_out_as_it_did_while_that_is_valid(tmp_path: Path, certificate: Certificate) -> None:
    png, kept, seal = tmp_path / "plain.png", tmp_path / "kept.c2pa", Seal(certificate)
    png.write_bytes(made())
    first = signing.sign(png, kept, SAID, seal, tmp_path)
    assert first.manifest is not None
    first.manifest.rename(kept)
    # Whatever else is to be said by now.
    second = signing.sign(png, kept, Statement({}), seal, tmp_path)
    assert second.manifest is None
    assert second.file.read_bytes() == first.file.read_bytes()
    for spoilt in (b"", kept.read_bytes()[:-9], kept.read_bytes().replace(b"c2pa.created", b"c2pa.creeted")):
        kept.write_bytes(spoilt)
        anew = signing.sign(png, kept, SAID, seal, tmp_path)
        assert anew.manifest is not None
        assert told(anew.file.read_bytes()).state == "Valid"


def test_what_has_run_out_is_signed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png, kept = tmp_path / "plain.png", tmp_path / "kept.c2pa"
    png.write_bytes(made())
    with monkeypatch.context() as short:
        short.setattr(issuing, "LASTS", timedelta(seconds=3))
        brief = certificates.made(tmp_path)
    first = signing.sign(png, kept, SAID, Seal(brief), tmp_path)
    assert first.manifest is not None
    first.manifest.rename(kept)
    # Whole seconds are what is compared.
    while datetime.now(UTC) <= brief.ends + timedelta(seconds=1):
        time.sleep(0.1)
    renewed = certificates.made(tmp_path)
    assert renewed.ends > brief.ends + timedelta(days=1000)
    second = signing.sign(png, kept, SAID, Seal(renewed), tmp_path)
    assert second.manifest is not None
    assert told(second.file.read_bytes()).state == "Valid"
    assert told(first.file.read_bytes()).state == "Invalid"


def test_words_that_look_like_a_manifest_keep_no_picture_from_being_signed(
    tmp_path: Path, certificate: Certificate
) -> None:
    png = tmp_path / "plain.png"
    png.write_bytes(made(parameters="caBX jumdc2pa C2PA"))
    assert bears(signing.sign(png, tmp_path / "none", SAID, Seal(certificate), tmp_path).file.read_bytes())


@pytest.mark.parametrize(("ending", "kind"), [("webp", "WEBP"), ("jpeg", "JPEG"), ("png", "PNG")])
def test_smaller_copies_say_the_same_and_what_was_done(
    ending: str, kind: str, tmp_path: Path, certificate: Certificate
) -> None:
    copy = tmp_path / f"copy.{ending}"
    Image.new("RGB", (64, 64), "red").save(copy, kind, xmp=xmp("trainedAlgorithmicMedia").encode())
    if kind == "PNG":
        copy.write_bytes(made())
    [file] = signing.sign_copies([copy], "c2pa.transcoded", SAID, Seal(certificate), tmp_path).files
    assert file.suffix == copy.suffix
    seen = told(file.read_bytes(), signing.FORMATS[ending])
    assert (seen.state, seen.actions[0][1:]) == ("Valid", ("trainedAlgorithmicMedia", "a model"))
    assert seen.actions[1][0] == "c2pa.transcoded"


def test_ingredients_say_how_they_went_in_and_a_chain_has_a_bound(tmp_path: Path, certificate: Certificate) -> None:
    seal, none, png = Seal(certificate), tmp_path / "none", tmp_path / "plain.png"
    png.write_bytes(made())
    parent = signing.sign(png, none, SAID, seal, tmp_path)
    photograph = tmp_path / "photograph.jpg"
    photograph.write_bytes(camera(Image.new("RGB", (64, 64), "blue"), tmp_path))
    taken = signing.take(photograph, None, tmp_path)
    assert taken is not None
    assert parent.manifest is not None
    ingredients = (
        Ingredient(png, parent.manifest, none, "parentOf"),
        Ingredient(png, none, tmp_path / taken, "inputTo"),
        Ingredient(png, none, none, "inputTo"),
        Ingredient(tmp_path / "deleted.png", none, none, "componentOf"),
    )
    whole = signing.sign(png, none, Statement({}, ingredients), seal, tmp_path).file.read_bytes()
    of_parent, of_photograph = told(parent.file.read_bytes()).label, told(photograph.read_bytes(), "image/jpeg").label
    assert sorted(told(whole).ingredients, key=str) == sorted(
        [("parentOf", of_parent, UNTRUSTED), ("inputTo", of_photograph, UNTRUSTED), ("inputTo", None, set())], key=str
    )
    assert [action for action, _, _ in told(whole).actions] == ["c2pa.opened", "c2pa.edited"]
    assert told(whole).state == "Valid"

    parent.manifest.write_bytes(bytes(signing.MOST_BYTES + 1))
    whole = signing.sign(png, none, Statement({}, ingredients[:1]), seal, tmp_path).file.read_bytes()
    assert told(whole).ingredients == [("parentOf", None, set())]


def test_forged_manifest_goes_on_as_forged_and_the_hostile_not_at_all(tmp_path: Path) -> None:
    photograph = camera(Image.new("RGB", (64, 64), "blue"), tmp_path)
    file = tmp_path / "upload"

    def failures(data: bytes) -> set[str] | None:
        file.write_bytes(data)
        if (taken := signing.take(file, None, tmp_path)) is None:
            return None
        opened = signing._opened((tmp_path / taken).read_bytes())
        assert opened is not None
        return {each["code"] for each in opened[0]["validation_results"]["activeManifest"]["failure"]}

    assert failures(photograph) == UNTRUSTED
    assert failures(photograph[:-100] + bytes((photograph[-100] ^ 1,)) + photograph[-99:]) == UNTRUSTED | {
        "assertion.dataHash.mismatch"
    }
    start = photograph.index(b"jumdc2pa")
    dice = random.Random(5)
    for _ in range(60):
        spoilt = bytearray(photograph)
        for _ in range(dice.randint(1, 8)):
            spoilt[start + dice.randrange(3000)] = dice.randrange(256)
        # Whatever comes of it, it says nothing else than that it is not sound.
        assert failures(bytes(spoilt)) != UNTRUSTED or spoilt == photograph
    for end in (start + 8, start + 300, start + 2000):
        assert failures(photograph[:end]) != UNTRUSTED
    assert failures(b"jumdc2pa" * 1000) is None
    assert failures(b"RIFF" + b"jumdc2pa" * 1000) is None


async def test_nothing_is_fetched_that_an_upload_names(tmp_path: Path) -> None:
    with authority("refuses") as somebody:
        chain, key = throw_away.write(tmp_path)
        info = c2pa.C2paSignerInfo("es256", chain.read_bytes(), key.read_bytes(), None)
        remote = io.BytesIO()
        action = {"action": "c2pa.created", "digitalSourceType": f"{TERMS}digitalCapture"}
        manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]}
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
            builder.set_no_embed()
            builder.set_remote_url(somebody.url)
            builder.sign(signer, "image/png", io.BytesIO(made()), remote)
        assert somebody.url.encode() in remote.getvalue()
        (tmp_path / "upload").write_bytes(remote.getvalue() + b"jumdc2pa")
        assert signing.take(tmp_path / "upload", None, tmp_path) is None
        (tmp_path / "upload.png").write_bytes(remote.getvalue())
        ingredient = Ingredient(tmp_path / "upload.png", tmp_path / "none", tmp_path / "none", "parentOf")
        (tmp_path / "plain.png").write_bytes(made())
        seal = Seal(certificates.own(chain, key))
        signing.sign(tmp_path / "plain.png", tmp_path / "none", Statement({}, (ingredient,)), seal, tmp_path)
    assert somebody.asked == 0


def test_upload_whose_only_mark_is_a_manifest_says_so_in_our_copy_and_is_another_than_its_bare_pixels(
    tmp_path: Path, certificate: Certificate
) -> None:
    (tmp_path / "plain.png").write_bytes(made("compositeWithTrainedAlgorithmicMedia"))
    signed = signing.sign(tmp_path / "plain.png", tmp_path / "none", SAID, Seal(certificate), tmp_path).file
    xmp_gone = manifests.bare(signed.read_bytes()).replace(b"XML:com.adobe.xmp", b"XML:com.nobody.xm")
    assert declared_source(xmp_gone) == "compositeWithTrainedAlgorithmicMedia"
    bare = decoding.read(tmp_path / "plain.png", tmp_path)
    copy = decoding.read(signed, tmp_path)
    assert (bare.origin, copy.origin) == (None, sha256_of(signed.read_bytes()))
    assert bare.sha256 != copy.sha256
    assert decoding.read(signed, tmp_path).sha256 == copy.sha256
    with Image.open(tmp_path / bare.file) as one, Image.open(tmp_path / copy.file) as other:
        assert one.tobytes() == other.tobytes()


def test_xmp_counts_before_what_a_manifest_says_of_others() -> None:
    chart = xmp("dataDrivenMedia").encode()
    assert declared_source(b"trainedAlgorithmicMedia " + chart) == "dataDrivenMedia"
    of_parent = f"{TERMS}trainedAlgorithmicMedia".encode()
    assert declared_source(of_parent + chart) == "dataDrivenMedia"
    assert declared_source(of_parent) == "trainedAlgorithmicMedia"


async def test_signed_pictures_lie_once_on_the_disk_and_their_manifests_go_with_them(
    workshop: Workshop, pictures: Pictures, certificate: Certificate
) -> None:
    credentials = Credentials(workshop, pictures, certificate)
    await credentials.try_out()
    sha256 = await kept(pictures, made())
    with workshop.desk() as folder:
        first = (await credentials.sign(sha256, SAID, folder)).read_bytes()
        assert (await credentials.sign(sha256, SAID, folder)).read_bytes() == first
    beside = pictures.path(sha256).parent
    assert sorted(file.suffix for file in beside.iterdir()) == [".c2pa", ".png"]
    assert sha256_of(pictures.path(sha256).read_bytes()) == sha256
    total = await pictures.total_bytes()
    await pictures.tidy(beside, [])
    assert pictures.manifest(sha256).exists()
    assert await pictures.drop(sha256) == total
    assert not list(beside.iterdir())
    pictures.manifest(sha256).write_bytes(b"of nothing")
    await pictures.tidy(beside, [])
    assert not list(beside.iterdir())
    with workshop.desk() as folder, pytest.raises(FileNotFoundError):
        await credentials.sign(sha256, SAID, folder)


async def test_picture_goes_out_signed_where_its_manifest_cannot_be_kept(
    workshop: Workshop, pictures: Pictures, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    sha256 = await kept(pictures, made())
    # In the way, whoever one is.
    pictures.manifest(sha256).mkdir()
    with workshop.desk() as folder:
        signed = await Credentials(workshop, pictures, certificate).sign(sha256, SAID, folder)
        assert told(signed.read_bytes()).state == "Valid"
    assert "cannot be kept" in caplog.text


async def test_upload_is_kept_with_what_it_says_and_forgets_it_with_the_picture(
    workshop: Workshop, pictures: Pictures, certificate: Certificate, tmp_path: Path
) -> None:
    credentials = Credentials(workshop, pictures, certificate)
    photograph = tmp_path / "photograph"
    photograph.write_bytes(camera(Image.new("RGB", (64, 64), "blue"), tmp_path))
    with workshop.desk() as folder:
        upload = await workshop.uploads.run(decoding.read, photograph, folder)
        left = (await credentials.take(photograph, upload, folder)).left(folder)
        assert left.ingredient is not None
        await pictures.take_over(left)
        await pictures.take_over(left)
    assert pictures.ingredient(upload.sha256).is_file()
    await pictures.drop(upload.sha256)
    assert not pictures.ingredient(upload.sha256).exists()


async def test_manifest_that_takes_too_long_is_let_be(
    workshop: Workshop,
    pictures: Pictures,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(giving, "TAKEN_WITHIN_S", 0.0)
    upload = Upload("a.png", "0", 64, 64, origin="1")
    with workshop.desk() as folder:
        assert await Credentials(workshop, pictures, certificate).take(folder / "a", upload, folder) == upload
    assert "is not taken along" in caplog.text


async def test_what_cannot_sign_is_told_at_the_start_and_later_keeps_nobody_from_a_picture(
    workshop: Workshop, pictures: Pictures, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    certificates.made(certificate.chain.parent, certificate.ends + timedelta(days=1))
    credentials = Credentials(workshop, pictures, certificate)
    with pytest.raises(OperatorError, match="cannot sign: .*not valid"):
        await credentials.try_out()
    sha256 = await kept(pictures, made())
    with workshop.desk() as folder:
        assert await credentials.sign(sha256, SAID, folder) == pictures.path(sha256)
        assert list(await credentials.sign_copies([pictures.path(sha256)], "c2pa.cropped", SAID, folder)) == [
            pictures.path(sha256)
        ]
    assert "goes out without a manifest" in caplog.text


async def test_what_a_stranger_wrote_keeps_no_picture_from_being_signed_and_stamped(
    workshop: Workshop, pictures: Pictures, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As if C2PA's library died of a manifest."""
    whole = Statement(SAID.agent, (Ingredient(tmp_path / "given.png", None, tmp_path / "hostile", "parentOf"),))
    (tmp_path / "given.png").write_bytes(made())
    run = workshop.signing.run

    async def dies(function: Any, *arguments: Any, within_s: float | None = None) -> Any:
        if any(each.taken for each in arguments[2].ingredients):
            raise WorkFailed("it died")
        return await run(function, *arguments, within_s=within_s)

    monkeypatch.setattr(workshop.signing, "run", dies)
    with authority() as stamper, workshop.desk() as folder:
        credentials = Credentials(workshop, pictures, certificate, stamper.url)
        signed = (await credentials.sign(await kept(pictures, made(seed=1)), whole, folder)).read_bytes()
        assert told(signed).ingredients == [("parentOf", None, set())]
        assert told(signed).whole["signature_info"]["time"]


async def test_time_stamp_is_in_what_goes_out_and_kept_with_it(
    workshop: Workshop, pictures: Pictures, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with authority() as stamper, workshop.desk() as folder:
        credentials = Credentials(workshop, pictures, certificate, stamper.url)
        sha256 = await kept(pictures, made())
        first = (await credentials.sign(sha256, SAID, folder)).read_bytes()
        assert told(first).whole["signature_info"]["time"]
        assert told(first).state == "Valid"
        assert stamper.asked == 1
        assert (await credentials.sign(sha256, SAID, folder)).read_bytes() == first
        assert stamper.asked == 1
    assert not caplog.records


@pytest.mark.parametrize("manner", ["refuses", "babbles", "says nothing", "unfit"])
async def test_time_stamper_that_fails_delays_once_and_loses_nothing(
    manner: Manner,
    workshop: Workshop,
    pictures: Pictures,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(giving, "STAMPED_WITHIN_S", 2.0)
    with authority(manner) as stamper, workshop.desk() as folder:
        credentials = Credentials(workshop, pictures, certificate, stamper.url)
        hashes = [await kept(pictures, made(seed=seed)) for seed in range(6)]
        # All at once: none of them waits for the failures of others.
        for file in await asyncio.gather(*(credentials.sign(each, SAID, folder) for each in hashes)):
            signed = told(file.read_bytes())
            assert signed.state == "Valid"
            assert "time" not in signed.whole["signature_info"]
        assert stamper.asked <= 2
    assert len(caplog.records) <= 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert "no time stamps of" in caplog.text
