"""Florence-2: one loaded model that says what a picture shows, and what its sentences mean in pixels.

The model writes places as location tokens into its text. transformers' own processor parses that text; here its
answers become `protocol.Region`s, whatever the model has made up put right or left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature

from inference.networks.filling import filled
from inference.pictures import images
from inference.protocol import DescribeTask, Region

TOKENS: dict[DescribeTask, str] = {
    "caption": "<CAPTION>",
    "detailed caption": "<DETAILED_CAPTION>",
    "more detailed caption": "<MORE_DETAILED_CAPTION>",
    "read text": "<OCR>",
    "locate text": "<OCR_WITH_REGION>",
    "detect objects": "<OD>",
    "caption regions": "<DENSE_REGION_CAPTION>",
    "ground phrases": "<CAPTION_TO_PHRASE_GROUNDING>",
    "find": "<OPEN_VOCABULARY_DETECTION>",
    "segment": "<REFERRING_EXPRESSION_SEGMENTATION>",
}
"""What each task is called in the model's own language."""

TELLING: frozenset[DescribeTask] = frozenset({"caption", "detailed caption", "more detailed caption", "read text"})
"""Tasks that are answered in words; the others in places."""

FILLING = "<pad>"
"""What stands behind an answer that was complete before others of its pass."""

MAX_TELLING_TOKENS = 256
MAX_PLACING_TOKENS = 1024
"""An outline alone takes some hundred."""

MAX_ANSWER_CHARS = 4000
MAX_LABEL_CHARS = 200
MAX_REGIONS = 100


class Describer:
    """One loaded Florence-2 model with its processor."""

    def __init__(self, model: Any, processor: Any, batch: int = 1) -> None:
        """`batch` pictures are in every pass: fewer are filled up with copies, so that no answer depends on how many
        are beside it."""
        self.model = model
        self.batch = batch
        self._processor = processor

    def say(
        self, picture: Image.Image, task: DescribeTask, text: str = "", still_wanted: Callable[[], bool] = lambda: True
    ) -> str:
        """What the model says to a task about one picture (`answers`)."""
        return self.answers([picture], task, text, still_wanted)[0]

    @torch.no_grad()
    def answers(
        self,
        pictures: Sequence[Image.Image],
        task: DescribeTask,
        text: str = "",
        still_wanted: Callable[[], bool] = lambda: True,
        question: str = "",
    ) -> list[str]:
        """What the model says to a task about each of these pictures, `batch` of them at most, in its own notation.
        `text` goes with the tasks that take some; it is the same for all, so that all questions are equally long. The
        `question`, if there is one, is what is asked in the place of the task.

        The same question to the same picture gets the same answer: nothing is drawn by chance, how many beams are
        searched is what the model's own generation settings say, and an answer that is complete waits for the longer
        ones without being changed. `still_wanted` is asked before every token; after a no the model breaks off, and
        what it has said is worth nothing.
        """
        # One by one: pictures of one size would be made smaller together.
        asked = [
            self._processor(text=(question or TOKENS[task]) + text, images=images.opaque(picture), return_tensors="pt")
            for picture in pictures
        ]
        full = filled(asked, self.batch)
        together = {name: torch.cat([each[name] for each in full]) for name in asked[0]}

        def stop(tokens: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
            return torch.full((tokens.shape[0],), not still_wanted(), dtype=torch.bool, device=tokens.device)

        tokens = self.model.generate(
            **BatchFeature(together).to(self.model.device, self.model.dtype),
            max_new_tokens=MAX_TELLING_TOKENS if task in TELLING else MAX_PLACING_TOKENS,
            do_sample=False,
            stopping_criteria=[stop],
        )
        said: list[str] = self._processor.batch_decode(tokens[: len(pictures)], skip_special_tokens=False)
        return [each.replace(FILLING, "") for each in said]

    def words(self, said: str, task: DescribeTask) -> str:
        """The words of an answer to a task of TELLING; none where the model had none."""
        parsed: str = self._parsed(said, task, (1, 1))
        return _words(parsed, MAX_ANSWER_CHARS)

    def regions(self, said: str, task: DescribeTask, text: str, width: int, height: int) -> tuple[Region, ...]:
        """The places in an answer to any other task, in pixels of a picture of this size, MAX_REGIONS at most.

        What has no extent is left out. Parts without a label of their own are labelled with `text`, which was asked.
        """
        found = self._parsed(said, task, (width, height))
        regions: list[Region | None] = []
        for box, label in _pairs(found, "bboxes", "labels", "bboxes_labels"):
            regions.append(_region(label or text, [_corners(box)], outlined=False))
        for quad, label in _pairs(found, "quad_boxes", "labels"):
            regions.append(_region(label or text, [_corners(quad)], outlined=True))
        for polygons, label in _pairs(found, "polygons", "labels", "polygons_labels"):
            regions.append(_region(label or text, [_corners(polygon) for polygon in polygons], outlined=True))
        return tuple(dict.fromkeys(region for region in regions if region is not None))[:MAX_REGIONS]

    def _parsed(self, said: str, task: DescribeTask, size: tuple[int, int]) -> Any:
        token = TOKENS[task]
        return self._processor.post_process_generation(text=said, task=token, image_size=size)[token]


def _pairs(found: dict[str, Any], what: str, *labels: str) -> list[tuple[Any, str]]:
    """The parser's parallel lists as pairs; which of them there are depends on the task."""
    if what not in found:
        return []
    return list(zip(found[what], found[next(name for name in labels if name in found)], strict=True))


def _corners(flat: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in zip(flat[::2], flat[1::2], strict=False))


def _region(label: str, outlines: Sequence[tuple[tuple[float, float], ...]], outlined: bool) -> Region | None:
    """What these corners enclose; None where that is nothing."""
    if outlined:
        outlines = [outline for outline in outlines if len(outline) >= 3]
    corners = [corner for outline in outlines for corner in outline]
    if not corners:
        return None
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    if left == right or top == bottom:
        return None
    polygons = tuple(outlines) if outlined else ()
    return Region(_words(label, MAX_LABEL_CHARS) or "?", (left, top, right, bottom), polygons)


def _words(text: str, limit: int) -> str:
    """The text without the model's own marks, in one line each, of at most this many characters."""
    text = re.sub(r"</?(?:s|pad|loc_\d+|poly|od|ocr|sep|obj|ground|unk|image)>", " ", text)
    text = "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
