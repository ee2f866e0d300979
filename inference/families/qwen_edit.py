"""Qwen-Image-Edit, since 2509: Qwen-Image that does to pictures what words say, and reads the ones with the others.

Its pipeline paints one picture at a time, brings what it is shown to a million pixels, and needs something to be shown:
from words alone that of Qwen-Image paints with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inference.families import qwen
from inference.families.references import References

if TYPE_CHECKING:
    from PIL import Image


def _encode_with_pictures(
    pipeline: Any, prompt: str, negative: str, guided: bool, pictures: Sequence[Image.Image]
) -> Sequence[Any]:
    # Imported where it is used: who only reads the catalogue does without.
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus

    plus: Any = pipeline_qwenimage_edit_plus
    seen = []
    for picture in pictures:
        width, height = plus.calculate_dimensions(plus.CONDITION_IMAGE_SIZE, picture.width / picture.height)
        seen.append(pipeline.image_processor.resize(picture, height, width))
    return qwen.encode_sides(pipeline, prompt, negative, guided, image=seen)


def _told(pictures: Sequence[Image.Image]) -> dict[str, Any]:
    return {"image": [*pictures]}


FAMILY = replace(
    qwen.FAMILY,
    name="qwen-edit",
    pipeline="QwenImageEditPlusPipeline",
    control=None,
    references=References(most=3, told=_told, encode=_encode_with_pictures, without="QwenImagePipeline"),
)
