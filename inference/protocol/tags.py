"""LoRAs as other tools write them into prompts. Pure: text in, text and facts out.

<lora:ink>  <lora:ink:0.8>          as strongly as it says, or as usual
<lora:ink:1:0.5>                    in the text encoders, and in the picture
<lora:ink:te=1:unet=0.5>            the same; <lyco:…> and capitals mean no other thing
"""

from __future__ import annotations

import re

import msgspec

from inference.protocol.brackets import matched
from inference.protocol.reasons import Reason, because

_TAG = re.compile(r"<\s*(lora|lyco|hypernet)\s*[:：]([^<>]{1,300})>", re.IGNORECASE)
_TOKENS = re.compile(rf"\\.?|{_TAG.pattern}|[{{}}｛｝]|[^\\{{}}｛｝<]+|<", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:[.,]\d{0,9})?|[.,]\d{1,9})")


class Tag(msgspec.Struct, frozen=True):
    """What a tag asks for."""

    name: str
    weight: float | None = None
    """None for the LoRA's own."""
    words: float | None = None
    """In the text encoders, where that is otherwise."""
    problem: Reason | None = None
    """Why it cannot be done, where it cannot."""


def without_tags(text: str) -> tuple[str, tuple[Tag, ...]]:
    """A prompt without its tags, and what those ask for."""
    return _taken(text, inside=True)


def without_sure_tags(text: str) -> tuple[str, tuple[Tag, ...]]:
    """The same of those that no wildcard decides about; the others stay."""
    return _taken(text, inside=False)


def read_tag(content: str, kind: str = "lora") -> Tag:
    """What stands between the first colon of a tag and its end, or in an option: `name`, `name:weight` …"""
    name, *settings = (part.strip() for part in re.split("[:：]", content))
    if kind.lower() == "hypernet":
        return Tag(name, problem=because("no_hypernets", typed=name))
    numbers = {"te": None, "unet": None}
    positions = iter(("te", "unet"))
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip().lower() if equals else next(positions, "")
        value = value.strip() if equals else setting
        if key not in numbers:
            return Tag(name, problem=because("lora_setting", lora=name, typed=setting))
        if not value:
            continue
        if not _NUMBER.fullmatch(value):
            return Tag(name, problem=because("lora_no_number", lora=name, typed=value))
        numbers[key] = float(value.replace(",", "."))  # type: ignore[assignment]
    words, weight = numbers["te"], numbers["unet"]
    if weight is None:
        return Tag(name, words)
    return Tag(name, weight, None if words == weight else words)


def tag_of(name: str, weight: float, words: float | None) -> str:
    """A tag as AUTOMATIC1111 reads it."""
    return f"<lora:{name}:{weight:g}>" if words is None else f"<lora:{name}:{words:g}:{weight:g}>"


def _taken(text: str, inside: bool) -> tuple[str, tuple[Tag, ...]]:
    matches = [*_TOKENS.finditer(text)]
    _, within = matched([match[0] for match in matches], {"{": "}"})
    tags: list[Tag] = []
    kept: list[str] = []
    for match, brace in zip(matches, within, strict=True):
        if match[2] is not None and (inside or brace is None):
            tags.append(read_tag(match[2], match[1]))
        else:
            kept.append(match[0])
    return (re.sub(r"\s{2,}", " ", "".join(kept)), tuple(tags)) if tags else (text, ())
