"""Pictures signed with a C2PA manifest, and the manifests of uploads taken along.

Runs in the child processes of `pictures.workers`: what strangers wrote into manifests is read nowhere else. Nothing is
ever fetched but a time stamp, where one is asked for.
"""

from __future__ import annotations

import functools
import io
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import c2pa
from PIL import Image

from bot.credentials import certificates
from bot.credentials.certificates import Certificate
from bot.credentials.statements import Ingredient, Statement
from bot.pictures import manifests
from inference.protocol import declared_source, digital_source_type

FORMATS = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg", "jpg": "image/jpeg"}
"""Of what goes out, by the endings of files."""

MOST_BYTES = 2**20
"""Of the manifests of all ingredients together: what is beyond is named without its own. Each edit of an edit adds
some five thousand; what a camera signed with a small picture of it has some hundred thousand."""

UNKNOWN = "http://c2pa.org/digitalsourcetype/empty"
"""C2PA's word for pictures of which nobody says where they come from."""

UNSOUND = "the time stamp, or the certificate of who gave it, is not as C2PA asks for it"

ACTIONS = "c2pa.actions.v2"

_PNG = "image/png"
_C2PA = "application/c2pa"


@dataclass(frozen=True, slots=True)
class Seal:
    """By what a picture is signed."""

    certificate: Certificate
    time_stamper: str | None = None
    """The address of an RFC 3161 time stamp authority."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A picture that goes out."""

    file: Path
    manifest: Path | None = None
    """Where its manifest store lies, if that is a new one: to be kept."""
    problem: str = ""
    """Why it is not signed, in a line."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Files that go out in the place of one picture."""

    files: Sequence[Path]
    problem: str = ""
    """Why they are not signed, in a line."""


def sign(png: Path, kept: Path, said: Statement, seal: Seal, folder: Path) -> Signed:
    """A PNG of ours with its manifest, in this folder. What was signed before is given out as it was then, as long as
    it is valid: a certificate runs out."""
    head = manifests.head(png)
    if manifests.has(head):
        # By an Easel of before.
        return Signed(png)
    if store := _read(kept):
        known = _free(folder, "png")
        manifests.embed(png, store, known)
        if _is_valid(known):
            return Signed(known)
    file, manifest = _free(folder, "png"), _free(folder, "c2pa")
    try:
        manifest.write_bytes(_sign(png, head, file, said, seal))
    except c2pa.C2paError as error:
        return Signed(png, problem=_line(error))
    return Signed(png, problem=UNSOUND) if _is_unsound(file, seal) else Signed(file, manifest)


def sign_copies(copies: list[Path], action: str, said: Statement, seal: Seal, folder: Path) -> Copies:
    """What was made of a picture of ours, so that Discord carries it, each with a manifest that says the same and what
    was done."""
    made = []
    for copy in copies:
        file = _free(folder, copy.suffix.removeprefix("."))
        try:
            _sign(copy, copy.read_bytes(), file, said, seal, [{"action": action}])
        except c2pa.C2paError as error:
            return Copies(copies, _line(error))
        if _is_unsound(file, seal):
            return Copies(copies, UNSOUND)
        made.append(file)
    return Copies(made)


def try_out(seal: Seal, folder: Path) -> str:
    """Sign something small; what C2PA has to say against it, and nothing where it can be signed and read."""
    plain, file = _free(folder, "png"), _free(folder, "png")
    Image.new("RGB", (1, 1)).save(plain, format="PNG")
    try:
        _sign(plain, b"", file, Statement({}), replace(seal, time_stamper=None))
    except c2pa.C2paError as error:
        return _line(error)
    return "" if _is_valid(file) else "nobody can read it"


def take(file: Path, kept: Path | None, folder: Path) -> str | None:
    """The name in this folder of what says where a picture comes from that was brought here: its manifest, and what
    became of its validation. `kept` is its manifest store, where that is beside it. None where it bears none, or none
    that can be read or kept."""
    if store := _read(kept):
        file, own = _free(folder, "png"), file
        manifests.embed(own, store, file)
    data = file.read_bytes()
    if not manifests.bears(data):
        return None
    archive = io.BytesIO()
    try:
        with c2pa.Builder({"claim_generator_info": [_generator()], "assertions": []}, _context(())) as builder:
            builder.add_ingredient({"relationship": "parentOf", "label": "taken"}, _kind(data), io.BytesIO(data))
            builder.write_ingredient_archive("taken", archive)
        if len(archive.getvalue()) > MOST_BYTES or _opened(archive.getvalue()) is None:
            return None
    except c2pa.C2paError:
        return None
    taken = _free(folder, "ingredient")
    taken.write_bytes(archive.getvalue())
    return taken.name


def _sign(
    source: Path, head: bytes, target: Path, said: Statement, seal: Seal, done: Iterable[Mapping[str, Any]] = ()
) -> bytes:
    """Write the file, which begins so, with a manifest store to `target`; returns that store alone."""
    kind = FORMATS[source.suffix.removeprefix(".")]
    host = None if seal.time_stamper is None else urlsplit(seal.time_stamper).hostname
    chain, key = certificates.pem(seal.certificate)
    info = c2pa.C2paSignerInfo(seal.certificate.algorithm, chain, key, seal.time_stamper)
    with ExitStack() as opened:
        found = list(_found(said.ingredients, target.parent, opened))
        signer = opened.enter_context(c2pa.Signer.from_info(info))
        manifest = _manifest(head, kind, said, found, done)
        builder = opened.enter_context(c2pa.Builder(manifest, _context(() if host is None else (host,))))
        for each in found:
            if each.store is not None:
                builder.add_resource(each.label, io.BytesIO(each.store))
            else:
                builder.add_ingredient(each.definition, _PNG, each.picture)
        plain = opened.enter_context(source.open("rb"))
        store: bytes = builder.sign(signer, kind, plain, opened.enter_context(target.open("x+b")))
    return store


def _manifest(
    head: bytes, kind: str, said: Statement, found: list[_Found], done: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    source = declared_source(head)
    agent = {"softwareAgent": said.agent} if said.agent else {}
    term = {"digitalSourceType": UNKNOWN if source is None else digital_source_type(source)}
    labels: dict[str, list[str]] = {"parentOf": [], "inputTo": [], "componentOf": []}
    for each in found:
        labels[each.relation].append(each.label)
    inputs = {"parameters": {"ingredientIds": labels["inputTo"]}} if labels["inputTo"] else {}
    actions: list[Mapping[str, Any]] = []
    if labels["parentOf"]:
        actions.append({"action": "c2pa.opened", "parameters": {"ingredientIds": labels["parentOf"]}})
        actions.append({"action": "c2pa.edited", **term, **agent, **inputs})
    else:
        actions.append({"action": "c2pa.created", **term, **agent, **inputs})
    if labels["componentOf"]:
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": labels["componentOf"]}})
    return {
        "claim_generator_info": [_generator()],
        "format": kind,
        "assertions": [{"label": ACTIONS, "data": {"actions": [*actions, *done]}}],
        "ingredients": [each.definition for each in found if each.store is not None],
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """An ingredient as it goes into a manifest: with the store of its own as it was read then, or as a picture."""

    label: str
    relation: str
    definition: dict[str, Any]
    store: bytes | None = None
    picture: BinaryIO | None = None


def _found(ingredients: Iterable[Ingredient], folder: Path, opened: ExitStack) -> Iterator[_Found]:
    """Those that are still there, as files that are `opened`; some are written into the folder."""
    room = MOST_BYTES
    for number, each in enumerate(ingredients):
        label = f"ingredient-{number}"
        named = {"relationship": each.relation, "label": label}
        # They may be deleted at any moment.
        try:
            taken = _opened(_read(each.taken))
            if taken is not None and len(taken[1]) <= room:
                definition, store = taken
                room -= len(store)
                definition |= {**named, "manifest_data": {"format": _C2PA, "identifier": label}}
                yield _Found(label, each.relation, definition, store=store)
                continue
            picture, store = each.png, _read(each.manifest)
            if 0 < len(store) <= room:
                room -= len(store)
                picture = _free(folder, "png")
                manifests.embed(each.png, store, picture)
            yield _Found(label, each.relation, named, picture=opened.enter_context(picture.open("rb")))
        except FileNotFoundError:
            continue


def _read(file: Path | None) -> bytes:
    """What lies there, if anything does that can be read."""
    with suppress(OSError):
        return b"" if file is None else file.read_bytes()
    return b""


def _opened(archive: bytes) -> tuple[dict[str, Any], bytes] | None:
    """What was taken along with an upload: as C2PA writes an ingredient, and the manifest store that it had. None where
    it had none that can be read."""
    if not archive:
        return None
    store = io.BytesIO()
    with suppress(c2pa.C2paError), c2pa.Reader(_C2PA, io.BytesIO(archive), context=_context(())) as reader:
        active = reader.get_active_manifest() or {}
        [ingredient] = active.get("ingredients") or [{}]
        if "manifest_data" not in ingredient or "active_manifest" not in ingredient:
            return None
        reader.resource_to_stream(ingredient["manifest_data"]["identifier"], store)
        kept = ("format", "instance_id", "active_manifest", "validation_results", "validation_status")
        return {name: ingredient[name] for name in kept if name in ingredient}, store.getvalue()
    return None


def _is_unsound(file: Path, seal: Seal) -> bool:
    """Whether somebody else's part in it has spoilt it."""
    return seal.time_stamper is not None and not _is_valid(file)


def _is_valid(file: Path) -> bool:
    kind = FORMATS[file.suffix.removeprefix(".")]
    try:
        with file.open("rb") as opened, c2pa.Reader(kind, opened, context=_context(())) as reader:
            return reader.get_validation_state() in ("Valid", "Trusted")
    except c2pa.C2paError:
        return False


@functools.cache
def _context(hosts: tuple[str, ...]) -> c2pa.Context:
    """How C2PA's library works here: it reaches these machines and no other."""
    not_by_itself = {"enabled": False}
    return c2pa.Context(
        c2pa.Settings.from_dict(
            {
                "version": 1,
                "core": {"allowed_network_hosts": list(hosts)},
                "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
                "builder": {
                    # A small picture inside the same picture would tell nobody anything.
                    "thumbnail": {"enabled": False},
                    "actions": dict.fromkeys(
                        ("auto_created_action", "auto_opened_action", "auto_placed_action"), not_by_itself
                    ),
                },
            }
        )
    )


def _generator() -> dict[str, str]:
    return {"name": "Easel", "version": version("easel")}


def _kind(data: bytes) -> str:
    """What a file is, as far as manifests are read."""
    if data[4:8] == b"ftyp":
        return "image/avif" if data[8:12] in (b"avif", b"avis") else "image/heic"
    for begins, kind in {
        b"\x89PNG": _PNG,
        b"\xff\xd8": "image/jpeg",
        b"RIFF": "image/webp",
        b"GIF8": "image/gif",
        b"II": "image/tiff",
        b"MM": "image/tiff",
    }.items():
        if data.startswith(begins):
            return kind
    return "application/octet-stream"


def _line(error: c2pa.C2paError) -> str:
    return " ".join(str(error).split())


def _free(folder: Path, suffix: str) -> Path:
    return folder / f"{secrets.token_hex(8)}.{suffix}"
