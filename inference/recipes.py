"""What made a picture: its recipe, and the same in the words that Stable Diffusion tools read from a PNG."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from inference.catalog.entries import ControlEntry, FileEntry, FolderEntry, ModelEntry
from inference.catalog.fields import DETECTOR_FILES
from inference.catalog.versions import version_of
from inference.catalog.versions import versions as versions
from inference.protocol import Drawn, Grid, Imagine, Request, SourceType, tag_of

if TYPE_CHECKING:
    # What other servers paint has a recipe too, and comes through a process without torch.
    import torch

    from inference.device import Device
    from inference.models.adapters import Adapter
    from inference.models.embeddings import Embedding
    from inference.models.handles import (
        Followed,
        PictureAnnotator,
        PictureClassifier,
        PictureDescriber,
        PictureModel,
        PictureRefiner,
        PictureRestorer,
        PictureUpscaler,
        Setup,
    )

NEGATIVE = "Negative prompt:"


def recipe(
    request: Imagine, setup: Setup, scheduler: Any, drawn: Drawn, embeddings: Sequence[Embedding]
) -> dict[str, Any]:
    """Everything that decides the bytes of a picture, as plain values that JSON and MessagePack can hold.

    `drawn` is what it was painted from, `embeddings` those that its words name.
    """
    model, upscaler, checker = setup.model, setup.upscaler, setup.checker
    config = {key: _plain(value) for key, value in scheduler.config.items() if not key.startswith("_")}
    return {
        "request": asked(request),
        "model": {
            "name": model.name,
            **_source(model.entry),
            "revision": model.revision,
            "variant": model.assembly.variant,
            "hash": model_hash(model),
            "components": model.hashes,
            **_named_beside(model.entry),
        },
        "refiner": None if setup.refiner is None else _refiner(setup.refiner),
        "scheduler": {"class": type(scheduler).__name__, "config": config},
        "words": [{"prompt": drawn.prompt, "negative": drawn.negative}],
        "loras": [_lora(adapter) for adapter in model.adapters.active],
        "embeddings": [{"name": one.name, "hash": one.sha256[:10]} for one in embeddings],
        "controls": [_control(one) for one in setup.followed],
        "upscaler": None
        if upscaler is None
        else {"name": upscaler.name, "hash": upscaler.hash, "scale": upscaler.scale},
        # It changes no picture, but it decides whether there is one.
        "checker": None if checker is None else {"name": checker.name, "hash": checker.hash},
        "device": _worked_on(setup.device, model.dtype),
        **model.policy.recorded,
        "batch": setup.batch if setup.filled else 1,
        "versions": versions(),
    }


def of_pictures(made_of: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The recipe of a job, from those of its pictures: where they differ it has what each of them was made of."""
    of_one = ("loras", "embeddings")
    words = [words for each in made_of for words in each["words"]]
    whole = {**made_of[0], "words": words if len(_once(words)) > 1 else words[:1]}
    if any(each[name] != whole[name] for each in made_of for name in of_one):
        whole |= {name: _once(one for each in made_of for one in each[name]) for name in of_one}
        whole["words"] = [{**each["words"][0], **{name: each[name] for name in of_one}} for each in made_of]
    return whole


def _once(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += [] if value in found else [value]
    return found


def _lora(adapter: Adapter) -> dict[str, Any]:
    lora = {"name": adapter.name, "weight": adapter.weight, "hash": adapter.sha256[:10]}
    return lora if adapter.words is None else {**lora, "words": adapter.words}


def _refiner(refiner: PictureRefiner) -> dict[str, Any]:
    source = {"revision": refiner.revision, "variant": refiner.entry.variant, "components": refiner.hashes}
    return {"name": refiner.name, **_source(refiner.entry), **source}


def _control(followed: Followed) -> dict[str, Any]:
    control, entry = followed.control, followed.control.entry
    kind = {} if entry.mode is None else {"mode": entry.mode}
    used = {"weight": followed.weight, **kind, "annotator": _annotator(entry, followed.annotator)}
    return {"name": control.name, **_source(entry), "revision": control.revision, "hash": control.hash, **used}


def _annotator(of: ControlEntry, annotator: PictureAnnotator | None) -> dict[str, Any]:
    if annotator is None:
        return {"name": of.annotator}
    library = "controlnet-aux" if annotator.entry.kind in DETECTOR_FILES else "transformers"
    source = {**_source(annotator.entry), "revision": annotator.revision, "hash": annotator.hash}
    return {
        "name": annotator.name,
        "kind": annotator.entry.kind,
        **source,
        "library": f"{library} {version_of(library)}",
    }


def table(request: Grid, cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same for a grid, from the recipes of its cells in their order."""
    return {
        "request": asked(request),
        "cells": [{name: value for name, value in made_of.items() if name != "request"} for made_of in cells],
    }


def enlargement(
    request: Request,
    upscaler: PictureUpscaler,
    tile: int,
    device: Device,
    restored: tuple[PictureRestorer, int] | None = None,
) -> dict[str, Any]:
    """The same for a picture that was enlarged in tiles of this side, 0 for none, and in which so many faces were made
    anew.
    """
    files = _files(upscaler.files)
    return {
        "request": asked(request),
        "model": {"name": upscaler.name, "files": files, "hash": upscaler.hash, "scale": upscaler.scale},
        "tile": tile,
        "restorer": None if restored is None else _restorer(*restored),
        "device": _worked_on(device, upscaler.dtype),
        "versions": versions(),
    }


def _restorer(restorer: PictureRestorer, faces: int) -> dict[str, Any]:
    from inference.networks.faces import DETECTOR

    dtype = str(restorer.dtype).removeprefix("torch.")
    source = {"files": _files((restorer.entry,)), "hash": restorer.hash, "dtype": dtype}
    return {"name": restorer.name, **source, "detector": DETECTOR, "faces": faces}


def _files(files: Iterable[FileEntry]) -> list[dict[str, str | None]]:
    return [{"path": file.place, "url": file.url} for file in files]


def reading(request: Request, reader: PictureDescriber | PictureClassifier, device: Device) -> dict[str, Any]:
    """The same for what was read from a picture."""
    return {
        "request": asked(request),
        "model": {"name": reader.name, **_source(reader.entry), "revision": reader.revision, "hash": reader.hash},
        "batch": reader.network.batch,
        "device": _worked_on(device, reader.dtype),
        "versions": versions(),
    }


def masking(request: Request) -> dict[str, Any]:
    """The same for a mask that was drawn, and is shown on its picture."""
    return {"request": asked(request), "versions": versions()}


def comparison(
    request: Request, seen_by: Sequence[tuple[ControlEntry, PictureAnnotator | None]], device: Device
) -> dict[str, Any]:
    """The same for pictures that were put side by side, what was followed by what it was seen by."""
    annotators = [_annotator(*each) for each in seen_by]
    made_of = {"request": asked(request), "annotators": annotators, "versions": versions()}
    loaded = next((annotator for _, annotator in seen_by if annotator is not None), None)
    return made_of if loaded is None else {**made_of, "device": _worked_on(device, loaded.dtype)}


def png_texts(request: Imagine, seed: int | None, index: int, made_of: dict[str, Any]) -> dict[str, str]:
    """The text chunks of one picture: `parameters` for other tools, `easel` with the whole recipe as JSON."""
    return {"parameters": parameters(request, made_of, seed), **recipe_text({**made_of, "picture": index})}


def source_of(request: Imagine) -> SourceType:
    """Where a painted picture comes from."""
    from_nothing = request.image is None and not request.references
    return "trainedAlgorithmicMedia" if from_nothing else "compositeWithTrainedAlgorithmicMedia"


def recipe_text(made_of: dict[str, Any]) -> dict[str, str]:
    """The text chunk that holds a whole recipe."""
    return {"easel": json.dumps(made_of, ensure_ascii=False, separators=(",", ":"))}


def parameters(request: Imagine, made_of: Mapping[str, Any], seed: int | None) -> str:
    """A picture's recipe as AUTOMATIC1111 writes it and as every Stable Diffusion tool reads it.

    `made_of` is the whole recipe; `seed` tells the picture from its neighbours (`protocol.Picture.seed`).
    """
    fields: dict[str, Any] = {
        **_schedule(request),
        "Seed": request.seed if request.variations else seed,
        "Size": f"{request.width}x{request.height}",
        "Model hash": made_of["model"].get("hash"),
        "Model": request.model,
    }
    if request.image is not None:
        fields["Denoising strength"] = request.strength
    if request.hires is not None:
        # As where a picture is the start: the format knows one such strength, that of the last pass.
        fields["Denoising strength"] = request.hires.strength
        fields["Hires resize"] = f"{request.hires.width}x{request.hires.height}"
        fields["Hires upscaler"] = made_of["upscaler"]["name"] if made_of["upscaler"] else "Lanczos"
    if refiner := made_of["refiner"]:
        switch = 1 - request.steps_refined / request.steps
        fields |= {"Refiner": f"{refiner['name']} [{refiner['components']['unet']}]", "Refiner switch at": switch}
    if request.variations:
        # The format has room for one variation; where there are several, the `easel` text holds them all.
        fields |= {"Variation seed": seed, "Variation seed strength": request.variations[-1].strength}
    if request.clip_skip is not None:
        fields["Clip skip"] = request.clip_skip
    if embeddings := made_of["embeddings"]:
        fields["TI hashes"] = ", ".join(f"{one['name']}: {one['hash']}" for one in embeddings)
    if loras := made_of["loras"]:
        fields["Lora hashes"] = ", ".join(f"{lora['name']}: {lora['hash']}" for lora in loras)
    for number, control in enumerate(made_of["controls"]):
        module, weight = control["annotator"]["name"], control["weight"]
        fields[f"ControlNet {number}"] = f"Module: {module}, Model: {control['name']}, Weight: {weight:g}"
    # Readers that know no quotes take the last of two: a ControlNet has a model too.
    fields |= {name: fields.pop(name) for name in ("Model hash", "Model")}
    fields["Version"] = f"easel {versions()['easel']}"
    fields = {name: value for name, value in fields.items() if value is not None}
    (words,) = made_of["words"]
    # So that who pastes it into another tool gets the LoRAs as well.
    tags = [tag_of(lora["name"], lora["weight"], lora.get("words")) for lora in loras]
    lines = [" ".join([words["prompt"], *tags])]
    if words["negative"]:
        lines.append(f"Negative prompt: {words['negative']}")
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in fields.items()))
    return "\n".join(_labelled_once(lines))


def _schedule(request: Imagine) -> dict[str, Any]:
    """Nothing of it where there is none to be seen."""
    if not request.sampler:
        return {}
    return {"Steps": request.steps, "Sampler": request.sampler, "CFG scale": request.guidance}


def model_hash(model: PictureModel) -> str:
    """The short hash that stands for the model: that of its denoiser's weights."""
    return model.hashes[model.family.denoiser.component]


def asked(request: Request) -> dict[str, Any]:
    """The request as a recipe has it."""
    asked: dict[str, Any] = msgspec.to_builtins(request)
    # It belongs to the history of this community, not to the picture; so does who may see it.
    asked.pop("job")
    for each in (asked, *asked.get("cells", ()), asked.get("edit", {})):
        each.pop("safety", None)
    return asked


def _source(entry: FolderEntry) -> dict[str, str | None]:
    place, file = (entry.place, entry.file) if isinstance(entry, ModelEntry) else (entry.path, None)
    if entry.repo is None:
        return {"path": place}
    return {"repo": entry.repo} if file is None else {"repo": entry.repo, "file": file}


def _named_beside(entry: ModelEntry) -> dict[str, Any]:
    """What else of an entry decides what is painted, where it says so."""
    names = ("config", "vae", "parts", "base", "guidance_rescale")
    return {name: value for name in names if (value := getattr(entry, name))}


def _worked_on(device: Device, dtype: torch.dtype) -> dict[str, Any]:
    worked_on: dict[str, Any] = {"name": device.name, "dtype": str(dtype).removeprefix("torch.")}
    if not device.is_cuda:
        import torch

        # The number of threads decides in which order sums are added up.
        worked_on |= {"machine": platform.machine(), "threads": torch.get_num_threads()}
    return worked_on


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: JSON has no infinity, and some schedulers clip at it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _labelled_once(lines: Sequence[str]) -> list[str]:
    """The prompt, the negative prompt if there is one, and the rest. A label that a member wrote gets a backslash,
    which tools read as the sign after it."""
    prompt, *negatives, rest = lines
    plain = NEGATIVE.replace(":", "\\:")
    negatives = [NEGATIVE + each.removeprefix(NEGATIVE).replace(NEGATIVE, plain) for each in negatives]
    return [prompt.replace(NEGATIVE, plain), *negatives, rest]


def _quoted(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",:\n") else text
