"""What a server is told of a request: words, size, pictures and their mask, and what its entry says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai import omit

from inference.catalog.remotes import RemoteEntry
from inference.pictures import images
from inference.protocol import Drawn, Imagine, Lines, plain_words
from inference.remote.edits import Edit
from inference.remote.sent import word


def drawn(request: Imagine, lines: Lines) -> Drawn:
    """What all its pictures are painted from, for one request asks for all of them."""
    prompt, negative = request.drawn(request.seed_of(0), lines)
    return Drawn(plain_words(prompt), plain_words(negative))


def edit_of(request: Imagine, files: Mapping[str, bytes]) -> Edit | None:
    """The picture of which a part is painted; None where all of one is. Raises InvalidInput."""
    if request.image is None or request.mask is None:
        return None
    picture, mask = images.read(files, request.image), images.read(files, request.mask)
    return Edit(picture, mask.convert("L"), request.width, request.height)


def said(
    request: Imagine, entry: RemoteEntry, prompt: str, files: Mapping[str, bytes], edit: Edit | None
) -> dict[str, Any]:
    """The arguments of the client's call. Raises InvalidInput."""
    besides: dict[str, Any] = dict(entry.parameters)
    if entry.seed is not None:
        besides[entry.seed] = request.seed_of(0)
    told: dict[str, Any] = {
        "model": entry.model,
        "prompt": prompt,
        "n": request.count,
        "size": f"{request.width}x{request.height}",
        "quality": entry.quality or omit,
        "extra_body": besides or None,
        # For servers that know it: what they have seen before they paint no second time.
        "extra_headers": {"Idempotency-Key": f"easel-{word(request)}"},
    }
    # What a checker is to look at first is shown to nobody on the way.
    if entry.previews and request.count == 1 and (entry.checker is None or request.safety == "allow"):
        told |= {"stream": True, "partial_images": entry.previews}
    shown = [] if edit is None else [edit.shown]
    # Where a part of one is painted, that is the first that is seen already.
    shown += [images.opaque(images.read(files, one)) for one in request.references if one != request.image]
    if shown:
        named = [(f"{number}.png", images.png(each, {}), "image/png") for number, each in enumerate(shown, 1)]
        told["image"] = named if len(named) > 1 else named[0]
    if edit is not None:
        told["mask"] = ("mask.png", images.png(edit.marked, {}), "image/png")
    return told


def recorded(told: Mapping[str, Any]) -> dict[str, Any]:
    """What of that a recipe says: neither files nor headers, and the words stand there already."""
    plain = {name: told[name] for name in ("n", "size", "quality") if told[name] is not omit}
    return plain | (told["extra_body"] or {})
