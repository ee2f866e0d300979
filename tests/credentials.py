"""How tests read what C2PA manifests say, with C2PA's own reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import c2pa
from PIL import Image

from tests.inference import certificates

TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class Told(NamedTuple):
    """What a picture's manifest says."""

    state: str
    """Whether it fits the picture: Valid, or Trusted where its signer is known as well."""
    failures: set[str]
    actions: list[tuple[str, str | None, str | None]]
    """Each with the term of its digital source type, and the model."""
    ingredients: list[tuple[str, str | None, set[str]]]
    """Relation, the manifest that it has, what its validation failed in."""
    label: str
    whole: dict[str, Any]


def told(data: bytes, kind: str = "image/png") -> Told:
    """What the manifest of a picture says; it has one."""
    with c2pa.Reader(kind, io.BytesIO(data)) as reader:
        active, results = reader.get_active_manifest(), reader.get_validation_results()
        state = reader.get_validation_state()
        assert active is not None
        assert results is not None
        [actions] = [each for each in active["assertions"] if each["label"] == "c2pa.actions.v2"]
        return Told(
            str(state),
            _failures(results),
            [_action(each) for each in actions["data"]["actions"]],
            [_ingredient(each) for each in active.get("ingredients", [])],
            active["label"],
            active,
        )


def bears(data: bytes, kind: str = "image/png") -> bool:
    """Whether a picture has a manifest."""
    return c2pa.Reader.try_create(kind, io.BytesIO(data)) is not None


def camera(image: Image.Image, folder: Path) -> bytes:
    """A JPEG as a camera signs it, with a certificate that nobody knows."""
    chain, key = certificates.write(folder)
    info = c2pa.C2paSignerInfo("es256", chain.read_bytes(), key.read_bytes(), None)
    taken = {"action": "c2pa.created", "digitalSourceType": f"{TERMS}digitalCapture"}
    manifest = {
        "claim_generator_info": [{"name": "Test camera"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [taken]}}],
    }
    plain, signed = io.BytesIO(), io.BytesIO()
    image.convert("RGB").save(plain, format="JPEG", quality=95)
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
        builder.sign(signer, "image/jpeg", plain, signed)
    return signed.getvalue()


def _action(action: dict[str, Any]) -> tuple[str, str | None, str | None]:
    term = action.get("digitalSourceType")
    agent = action.get("softwareAgent", {}).get("name")
    return action["action"], None if term is None else term.removeprefix(TERMS), agent


def _ingredient(ingredient: dict[str, Any]) -> tuple[str, str | None, set[str]]:
    return (
        ingredient["relationship"],
        ingredient.get("active_manifest"),
        _failures(ingredient.get("validation_results", {})),
    )


def _failures(results: dict[str, Any]) -> set[str]:
    return {each["code"] for each in results.get("activeManifest", {}).get("failure", [])}
