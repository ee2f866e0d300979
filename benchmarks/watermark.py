"""`make watermark-eval`: in how many pictures the invisible watermark is found, after what pictures go through, and how
far it can be seen; both also of its first version, which was the same noise everywhere at one strength.

Prints tables and writes build/watermark.json.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import io
import json
import math
import random
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import appearance
from benchmarks.engines import local_engine
from inference.marks import watermark
from inference.protocol import Finished, Imagine
from starter.captions import caption
from starter.render import render
from starter.world import Scene

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Mark pictures of three kinds, change them, and count those that still show it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watermark")
    parser.add_argument("--renders", type=int, default=300, help="renders of the starter's world (300)")
    parser.add_argument("--painted", type=int, default=60, help="pictures painted by the starter (60)")
    parser.add_argument("--unmarked", type=int, default=3000, help="further renders, without the mark (3000)")
    asked = parser.parse_args()
    rng = random.Random(0)
    kinds = {
        "renders": [render(Scene.sample(rng), 256) for _ in range(asked.renders)],
        "painted": asyncio.run(painted([caption(Scene.sample(rng), rng) for _ in range(asked.painted)])),
        "others": others(),
    }
    unmarked = [render(Scene.sample(rng), 256) for _ in range(asked.unmarked)]
    unmarked += [picture for pictures in kinds.values() for picture in pictures]
    large = [picture.resize((1024, 1024)) for picture in kinds["others"]]
    unmarked += large
    chance = [watermark.evidence(picture) for picture in unmarked]
    wrong = sum(value >= watermark.EVIDENCE for value in chance)
    looks, found = {}, {}
    for number, embed in VERSIONS.items():
        marked = {kind: [embed(picture) for picture in pictures] for kind, pictures in kinds.items()}
        found[number] = {
            what: {kind: sum(watermark.found(change(picture)) for picture in marked[kind]) for kind in kinds}
            for what, change in changes().items()
        }
        print(f"{f'found after, version {number}':24}" + "".join(f"{f'{k} of {len(kinds[k])}':>16}" for k in kinds))
        for what, counts in found[number].items():
            print(f"{what:24}" + "".join(f"{count:>16}" for count in counts.values()))
        looks[number] = {kind: appearance.means(kinds[kind], marked[kind]) for kind in kinds}
        for kind, figures in looks[number].items():
            print(f"version {number}, {kind}: " + ", ".join(f"{what} {value:.4g}" for what, value in figures.items()))
    took = {side: _timed_ms(kinds["renders"][0].resize((side, side))) for side in (256, 1024)}
    for side, (embedding, finding) in took.items():
        print(f"{side}x{side}: {embedding:.0f} ms of processor to mark, {finding:.0f} ms to look for the mark")
    within = in_parts({"renders": kinds["renders"], "others at 1024": large})
    print(f"{'marked in a part only':32}{'untouched':>16}{'JPEG 75':>16}")
    for what, (untouched, saved, of) in within.items():
        print(f"{what:32}{f'{untouched} of {of}':>16}{f'{saved} of {of}':>16}")
    print(f"unmarked: {wrong} of {len(chance)} taken for marked, evidence at most {max(chance):.1f}")
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("numpy", "pillow", "torch")},
        "mark": dict(watermark.AS_RECIPE),
        "n": {kind: len(pictures) for kind, pictures in kinds.items()},
        "found": found,
        "within": {what: dict(zip(("untouched", "jpeg75", "n"), row, strict=True)) for what, row in within.items()},
        "appearance": looks,
        "took_ms": {str(side): dict(zip(("marking", "finding"), each, strict=True)) for side, each in took.items()},
        "unmarked": {"n": len(chance), "found": wrong, "most": max(chance), "asked": watermark.EVIDENCE},
    }
    path = Path("build/watermark.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}")


def in_parts(kinds: Mapping[str, Sequence[Image.Image]]) -> Mapping[str, tuple[int, int, int]]:
    """In how many pictures a mark is found that lies in one square of them somewhere, at once and after JPEG 75, and of
    how many; only of squares that Easel would mark."""
    rng, rows, saved = random.Random(1), {}, _saved("JPEG", 75)
    for kind, pictures in kinds.items():
        for share in (0.5, 0.25, 0.1, 0.05):
            pairs = [(picture, _square(picture, share, rng)) for picture in pictures]
            marked = [watermark.embed(*pair) for pair in pairs if watermark.fits(*pair)]
            if marked:
                counts = [
                    sum(watermark.found(change(picture)) for picture in marked) for change in (Image.Image.copy, saved)
                ]
                rows[f"{kind}, {share:.0%} of each"] = (counts[0], counts[1], len(marked))
    return rows


def _square(picture: Image.Image, share: float, rng: random.Random) -> Image.Image:
    side = math.ceil(min(picture.size) * share**0.5)
    left, top = (rng.randrange(length - side + 1) for length in picture.size)
    mask = Image.new("L", picture.size)
    mask.paste(255, (left, top, left + side, top + side))
    return mask


async def painted(prompts: Sequence[str]) -> list[Image.Image]:
    """What the starter paints of these prompts, without the mark."""
    async with local_engine(EASEL_WATERMARK="off") as (engine, incoming):
        model = engine.ready.model("starter")
        assert model is not None, "the starter comes with the checkout"
        pictures = []
        for number, prompt in enumerate(prompts):
            request = Imagine(
                job=number + 1,
                model=model.name,
                prompt=prompt,
                seed=number,
                steps=model.steps,
                guidance=model.guidance,
                sampler=model.sampler,
                width=model.width,
                height=model.height,
            )
            async for event in engine.run([request]):
                if isinstance(event, Finished):
                    pictures += [Image.open(incoming / each.file).convert("RGB") for each in event.pictures]
    return pictures


def others() -> list[Image.Image]:
    """The pictures that come with scikit-image: photographs, drawings, textures, micrographs."""
    folder = files("skimage") / "data"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith((".png", ".jpg")))
    pictures = [Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB") for name in names]
    return [picture for picture in pictures if watermark.fits(picture)]


def changes() -> Mapping[str, Change]:
    """What is done to a marked picture, by name."""
    return {
        "nothing": lambda picture: picture,
        **{f"JPEG {quality}": _saved("JPEG", quality) for quality in (90, 75, 50)},
        **{f"WebP {quality}": _saved("WEBP", quality) for quality in (88, 65)},
        **{f"to {share:.0%} and back": _resized(share) for share in (0.75, 0.5)},
        **{f"cropped to {share:.0%}": _cropped(share) for share in (0.75, 0.5)},
        "cropped to 75%, JPEG 75": lambda picture: _saved("JPEG", 75)(_cropped(0.75)(picture)),
    }


def _saved(kind: str, quality: int) -> Change:
    def saved(picture: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, format=kind, quality=quality)
        return Image.open(stream).convert("RGB")

    return saved


def _resized(share: float) -> Change:
    def resized(picture: Image.Image) -> Image.Image:
        size = (round(picture.width * share), round(picture.height * share))
        return picture.resize(size, Image.Resampling.LANCZOS).resize(picture.size, Image.Resampling.LANCZOS)

    return resized


def _cropped(share: float) -> Change:
    """Each side to this share, the left and upper edge where no tile begins."""

    def cropped(picture: Image.Image) -> Image.Image:
        return picture.crop((11, 7, 11 + round(picture.width * share), 7 + round(picture.height * share)))

    return cropped


def first_version(picture: Image.Image) -> Image.Image:
    """The picture with the mark as it was at first: a root mean square of 1.6 everywhere, in whole steps."""
    noise = np.rint(watermark._noise() * 1.6 / 2**watermark.FRACTION).astype(np.int16)
    tiles = np.tile(noise, (picture.height // watermark.TILE + 1, picture.width // watermark.TILE + 1))
    laid = np.array(picture) + tiles[: picture.height, : picture.width, None]
    return Image.fromarray(np.clip(laid, 0, 255).astype(np.uint8))


VERSIONS: Mapping[int, Change] = {1: first_version, 2: watermark.embed}


def _timed_ms(picture: Image.Image) -> tuple[float, float]:
    """What marking and looking take of processors, the least of five."""
    marked, clock = watermark.embed(picture), time.process_time
    marking = timeit.repeat(lambda: watermark.embed(picture), number=1, repeat=5, timer=clock)
    finding = timeit.repeat(lambda: watermark.found(marked), number=1, repeat=5, timer=clock)
    return min(marking) * 1000, min(finding) * 1000


if __name__ == "__main__":
    main()
