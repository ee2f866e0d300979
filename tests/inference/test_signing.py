"""Content Credentials: pictures signed with the operator's certificate, read back with C2PA's own reader."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import c2pa
import pytest
from PIL import Image

from bot.pictures import decoding
from inference.errors import SettingsError
from inference.marks import marking, signing, watermark
from inference.marks.marking import Marks
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import SourceType, declared_source
from inference.tasks import imagine
from tests.inference import certificates, tiny
from tests.inference.conftest import Record, ask_for
from tests.inference.folders import bytes_of
from tests.inference.peer import engine_process


def manifest_of(png: bytes) -> dict[str, Any]:
    """A picture's manifest, whose signature fits it."""
    with c2pa.Reader("image/png", io.BytesIO(png)) as reader:
        assert reader.get_validation_state() == "Valid"
        manifest = reader.get_active_manifest()
    assert manifest is not None
    return manifest


def actions_of(png: bytes) -> list[dict[str, Any]]:
    (assertion,) = manifest_of(png)["assertions"]
    actions: list[dict[str, Any]] = assertion["data"]["actions"]
    return actions


@pytest.mark.parametrize("algorithm", certificates.KEYS)
@pytest.mark.parametrize("source", ["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"])
def test_picture_is_signed_and_says_where_it_comes_from(algorithm: str, source: SourceType, tmp_path: Path) -> None:
    sign = signing.load(*certificates.write(tmp_path, algorithm))
    plain = images.png(tiny.picture(), {"parameters": "一座红色的房子"})
    signed = sign(plain, source)
    assert actions_of(signed) == [
        {
            "action": "c2pa.created",
            "digitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{source}",
        }
    ]
    manifest = manifest_of(signed)
    assert manifest["signature_info"]["common_name"] == "Test studio"
    assert manifest["claim_generator_info"][0]["name"] == "Easel"
    opened = Image.open(io.BytesIO(signed))
    assert opened.tobytes() == tiny.picture().tobytes()
    assert opened.text["parameters"] == "一座红色的房子"


def test_changed_picture_is_no_longer_valid(tmp_path: Path) -> None:
    sign = signing.load(*certificates.write(tmp_path))
    signed = sign(images.png(tiny.picture(), {"parameters": "a red house"}), "trainedAlgorithmicMedia")
    forged = signed.replace(b"a red house", b"a red mouse")
    with c2pa.Reader("image/png", io.BytesIO(forged)) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_painted_pictures_are_signed_as_they_are_marked_and_repeat_their_pixels(store: Store, tmp_path: Path) -> None:
    marks = Marks(sign=signing.load(*certificates.write(tmp_path)))
    painted = []
    for _ in range(2):
        record = Record(marks)
        record.begin(ask_for())
        imagine.run([ask_for()], {}, store, record.report)
        (picture,) = record.finished()[1].pictures
        painted.append(bytes_of(picture))
    first, second = painted
    assert len(actions_of(first)) == 1
    assert first != second
    assert Image.open(io.BytesIO(first)).tobytes() == Image.open(io.BytesIO(second)).tobytes()
    large = marks.png(tiny.picture(256, 256), {}, "trainedAlgorithmicMedia", True)
    assert len(actions_of(large)) == 1
    assert Image.open(io.BytesIO(large)).tobytes() == watermark.embed(tiny.picture(256, 256)).tobytes()


def test_upload_whose_only_mark_is_a_manifest_says_so_in_our_copy(tmp_path: Path) -> None:
    sign = signing.load(*certificates.write(tmp_path))
    given = tmp_path / "given.png"
    given.write_bytes(sign(images.png(tiny.picture(), {}), "compositeWithTrainedAlgorithmicMedia"))
    ours = (tmp_path / decoding.read(given, tmp_path).file).read_bytes()
    assert declared_source(ours) == "compositeWithTrainedAlgorithmicMedia"
    assert marking.origin(tiny.picture(), ours) == "model"


def failure(certificate: Path, key: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        signing.load(certificate, key)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_cannot_sign_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other", "old"):
        (tmp_path / name).mkdir()
    chain, key = certificates.write(tmp_path / "one")
    _, other = certificates.write(tmp_path / "other")
    old = certificates.write(tmp_path / "old", days=-1)
    none = tmp_path / "none.pem"
    assert failure(none, key) == f"EASEL_C2PA_CERT={none} cannot be read: No such file or directory"
    assert f"EASEL_C2PA_KEY={tmp_path} cannot be read" in failure(chain, tmp_path)
    assert "holds no private key" in failure(chain, chain)
    assert "cannot sign" in failure(chain, other)
    assert "cannot sign" in failure(key, key)
    assert "cannot sign" in failure(*old)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert failure(chain, key).endswith("pip install 'easel[c2pa]'")


def test_engine_signs_what_it_paints_and_ends_with_2_where_it_cannot(models_toml: Path, tmp_path: Path) -> None:
    chain, key = certificates.write(tmp_path)
    setup = {"EASEL_C2PA_CERT": str(chain), "EASEL_C2PA_KEY": str(key)}
    with engine_process(models_toml, **setup) as (peer, _):
        peer.ready()
        (picture,) = peer.paint(ask_for())[1].pictures
    assert json.dumps(actions_of(bytes_of(picture))).count("trainedAlgorithmicMedia") == 1
    with engine_process(models_toml, **setup | {"EASEL_C2PA_KEY": str(chain)}) as (peer, process):
        assert peer.event() is None
        assert process.wait(60) == 2
        assert process.stderr is not None
        assert process.stderr.read().count("\n") == 1
