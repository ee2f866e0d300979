"""Ready-made styles: styles.toml read, checked and turned into the words that each model is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from inference.catalog import tables
from inference.catalog.entries import LoraEntry, ModelEntry
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.protocol import MAX_STYLE_CHARS, PLACE, Style, weight_problem, without_tags

FILE = "styles.toml"
"""It lies beside models.toml, or is not there: then there are no styles."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_STYLE_CHARS // 2)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a style says to one model or family."""

    prompt: Text
    """With `{prompt}` in the prompt's place."""
    negative: Text = ""


class StyleEntry(Words, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[styles.NAME]`."""

    title: Title
    variants: dict[str, Words] = msgspec.field(name="for", default={})
    """Other words, by the model or family that they are for."""


class Tags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[tags.NAME]`: what is added to every style, for a model or a family."""

    prompt: Text = ""
    negative: Text = ""


def load(path: Path, models: Mapping[str, ModelEntry], loras: Mapping[str, LoraEntry]) -> dict[str, tuple[Style, ...]]:
    """The styles of each of these models, settled for it, in the order of the file.

    Raises CatalogError with one line that names the file, the style and the field.
    """
    try:
        document = tables.read(path, ("styles", "tags"))
    except FileNotFoundError:
        return dict.fromkeys(models, ())
    styles = tables.rows(path, document, "styles", StyleEntry)
    tags = tables.rows(path, document, "tags", Tags)
    _check(path, styles, tags, models)
    settled = {name: _settled(name, model, styles, tags) for name, model in models.items()}
    for name, of_model in settled.items():
        for style in of_model:
            _check_loras(f"{path}: styles.{style.name}", style, name, loras)
    return settled


def _check(
    path: Path, styles: Mapping[str, StyleEntry], tags: Mapping[str, Tags], models: Mapping[str, ModelEntry]
) -> None:
    said: dict[str, Words | Tags] = {f"tags.{name}": words for name, words in tags.items()}
    read_by = {f"tags.{name}": name for name in tags}
    for name, style in styles.items():
        said[f"styles.{name}"] = style
        said |= {f"styles.{name}.for.{reader}": words for reader, words in style.variants.items()}
        read_by |= {f"styles.{name}.for.{reader}": reader for reader in style.variants}
    for where, words in said.items():
        if isinstance(words, Words) and PLACE not in words.prompt:
            raise CatalogError(f"{path}: {where}: prompt: write {PLACE} where the member's words shall stand")
        if problem := weight_problem(words.prompt) or weight_problem(words.negative):
            facts = ", ".join(f"{name} {fact}" for name, fact in problem.facts.items())
            raise CatalogError(f"{path}: {where}: no model can weigh words so: {facts}")
    for where, reader in read_by.items():
        if reader not in (*models, *FAMILIES):
            raise CatalogError(f"{path}: {where}: there is no model or family called {reader}")
    for name, model in models.items():
        for chosen in model.styles or ():
            if chosen not in styles:
                raise CatalogError(f"{path}: there is no [styles.{chosen}], which models.{name} asks for")


def _check_loras(where: str, style: Style, model: str, loras: Mapping[str, LoraEntry]) -> None:
    """The LoRAs of a style must go with every model that is given it."""
    for tag in without_tags(style.prompt)[1]:
        meant = [one for name, one in loras.items() if tag.name.lower() in (name, one.title.lower())]
        if tag.problem is not None or not any(model in one.models for one in meant):
            reason = "cannot be set so" if tag.problem else f"does not go with {model}" if meant else "is not here"
            raise CatalogError(f"{where}: the LoRA {tag.name} {reason}: leave it out, or write other words for {model}")
    if without_tags(style.negative)[1]:
        raise CatalogError(f"{where}: negative: LoRAs work from the prompt alone")


def _settled(
    name: str, model: ModelEntry, styles: Mapping[str, StyleEntry], tags: Mapping[str, Tags]
) -> tuple[Style, ...]:
    added = tags.get(name) or tags.get(model.family) or Tags()
    settled = []
    for key, style in styles.items():
        if model.styles is not None and key not in model.styles:
            continue
        words = style.variants.get(name) or style.variants.get(model.family) or style
        # Where a negative prompt changes nothing, none is promised.
        negative = _listed(words.negative, added.negative) if model.negative else ""
        settled.append(Style(key, style.title, _listed(words.prompt, added.prompt), negative))
    return tuple(settled)


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
