"""What a program asks for: the parameters of OpenAI's images API, those that Easel has besides, and what they come to.

Nothing is silently ignored: what cannot be met, or is not known, is an error that names the parameter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from bot.requests.painting import Options
from bot.serving.refusals import Refusal
from bot.words import say

MAX_PARTIAL = 3
"""So many pictures on the way OpenAI's clients ask for at most."""

MAX_DIGITS = 20
"""Of a seed."""


class Generate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Pictures from words; None is left to the model."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: int | None = None
    """The quality of a webp or jpeg, 0 to 100."""
    stream: bool | None = None
    partial_images: int | None = None
    # What has one value here: others are refused.
    quality: Literal["auto", "standard"] | None = None
    background: Literal["auto", "opaque"] | None = None
    moderation: Literal["auto"] | None = None
    # Of a program's own members, of whom Easel knows nothing.
    user: str | None = None
    safety_identifier: str | None = None
    # Easel's own.
    negative_prompt: str | None = None
    style: str | None = None
    seed: int | str | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    lora: str | None = None
    clip_skip: int | None = None
    hires: float | None = None
    hires_strength: float | None = None
    refine: bool | None = None

    @property
    def format(self) -> str:
        """What the pictures are sent as."""
        return self.output_format or "png"

    @property
    def as_url(self) -> bool:
        """Whether addresses are sent in the pictures' place."""
        return self.response_format == "url"

    def options(self) -> Options:
        """What it comes to, as a member would have typed it. Raises Refusal."""
        width, height = _size(self.size)
        return Options(
            prompt=self.prompt,
            negative=self.negative_prompt,
            style=self.style,
            model=self.model,
            seed=None if self.seed is None else str(self.seed)[: MAX_DIGITS + 1],
            steps=self.steps,
            guidance=self.guidance,
            sampler=self.sampler,
            width=width,
            height=height,
            count=self.n,
            hires=self.hires,
            hires_strength=self.hires_strength,
            refine=self.refine,
            loras=self.lora,
            clip_skip=self.clip_skip,
        )


class Edit(Generate, forbid_unknown_fields=True, kw_only=True):
    """A picture painted anew, or a part of it; the pictures themselves come beside it."""

    strength: float | None = None


Asked = TypeVar("Asked", bound=Generate)


def of_json(body: bytes) -> Generate:
    """What a body of JSON asks for. Raises Refusal."""
    try:
        return _checked(msgspec.json.decode(body, type=Generate))
    except msgspec.ValidationError as error:
        raise _wrong(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, say("The body is no JSON."), code="invalid_json") from error


def of_fields(fields: Mapping[str, str]) -> Edit:
    """What the fields of a form ask for. Raises Refusal."""
    try:
        return _checked(msgspec.convert(dict(fields), Edit, strict=False))
    except msgspec.ValidationError as error:
        raise _wrong(error) from error


def _checked(asked: Asked) -> Asked:
    """What no type says. Raises Refusal."""
    most: dict[str, tuple[int, int]] = {"partial_images": (0, MAX_PARTIAL), "output_compression": (0, 100)}
    for param, (least, highest) in most.items():
        value: Any = getattr(asked, param)
        if value is not None and not least <= value <= highest:
            text = say("{param} is a number from {least} to {most}.", param=param, least=least, most=highest)
            raise Refusal(400, text, param=param)
    for param in asked.__struct_fields__:
        # A form has texts, and nan is one of a number.
        if isinstance(value := getattr(asked, param), float) and not math.isfinite(value):
            raise Refusal(400, say("{param} is no number.", param=param), code="invalid_value", param=param)
    if asked.stream and asked.as_url:
        text = say("A stream has the pictures in it: leave response_format out.")
        raise Refusal(400, text, param="response_format")
    if asked.partial_images and not asked.stream:
        text = say("Pictures on the way are sent in a stream: set stream, or leave partial_images out.")
        raise Refusal(400, text, param="partial_images")
    if asked.output_compression is not None and asked.format == "png":
        text = say("A PNG is always whole: set output_format to webp or jpeg, or leave output_compression out.")
        raise Refusal(400, text, param="output_compression")
    if not asked.prompt.strip():
        raise Refusal(400, say("The prompt is empty: say what the picture shows."), param="prompt")
    return asked


def _size(typed: str | None) -> tuple[int | None, int | None]:
    if typed is None or typed == "auto":
        return None, None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", typed)
    if match is None:
        text = say("Size {typed} is not a width and a height: write it like 512x768.", typed=typed[:40])
        raise Refusal(400, text, param="size")
    return int(match[1]), int(match[2])


def _wrong(error: msgspec.ValidationError) -> Refusal:
    """What msgspec finds wrong, of which parameter."""
    detail = str(error)
    if (unknown := re.search(r"unknown field `(.{1,80}?)`", detail)) is not None:
        text = say("There is no parameter {typed} here: leave it out.", typed=unknown[1])
        return Refusal(400, text, code="unknown_parameter", param=unknown[1])
    named = re.search(r"(?:`\$\.(\w+)|required field `(\w+)`)", detail)
    param = None if named is None else named[1] or named[2]
    if named is not None and named[2]:
        text = say("{param} is missing.", param=named[2])
        return Refusal(400, text, code="missing_required_parameter", param=param)
    text = say("{param} does not fit: {problem}.", param=param or "body", problem=detail.partition(" - at ")[0])
    return Refusal(400, text, code="invalid_value", param=param)
