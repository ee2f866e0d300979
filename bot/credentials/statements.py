"""What is said of where a picture comes from: made anew or of another, by which model, and of which pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bot.pictures.kept import Pictures
from inference.protocol import Classify, Compare, Describe, Grid, Imagine, Input, Mask, Request, Upscale

Relation = Literal["parentOf", "inputTo", "componentOf"]
"""As C2PA has it: it was changed into the picture, looked at for it, or lies in it as it was."""

MOST = 16
"""Ingredients of a picture: the cells of a grid may each have others."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A picture that another was made of, and where it says so itself, if it does."""

    png: Path
    manifest: Path | None
    """Of a picture of ours."""
    taken: Path | None
    """Of an upload."""
    relation: Relation


@dataclass(frozen=True, slots=True)
class Statement:
    """What the manifest of one picture says; its kind of source stands in its XMP."""

    agent: dict[str, str]
    """The model, in C2PA's words: name and version; of a table of several all of them. Empty without one."""
    ingredients: tuple[Ingredient, ...] = ()

    @property
    def of_pictures_alone(self) -> Statement:
        """The same of pictures that say nothing themselves: what strangers wrote into theirs is left out."""
        bare = tuple(replace(each, manifest=None, taken=None) for each in self.ingredients)
        return replace(self, ingredients=bare)


def of(request: Request, index: int, recipe: Mapping[str, Any], pictures: Pictures) -> Statement:
    """What to say of the picture with this place among those of a job. Nothing of it names anybody, or says what was
    asked for: manifests go on into everything that is made of the picture."""
    parent, others, relation = _inputs(request, index)
    found = {} if parent is None else {parent.sha256: _ingredient(parent, "parentOf", pictures)}
    for each in others:
        found.setdefault(each.sha256, _ingredient(each, relation, pictures))
    return Statement(agent(recipe), tuple(found.values())[:MOST])


def agent(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The model that a recipe names, or the models of its cells."""
    named = [recipe.get("model"), *(cell.get("model") for cell in recipe.get("cells") or ())]
    models = {str(one["name"]): one.get("hash") for one in named if isinstance(one, dict) and one.get("name")}
    if not models:
        return {}
    said = {"name": ", ".join(models)}
    return {**said, "version": ", ".join(map(str, models.values()))} if all(models.values()) else said


def _inputs(request: Request, index: int) -> tuple[Input | None, Iterable[Input], Relation]:
    """What the picture was made out of, what else went into it, and how."""
    match request:
        case Imagine():
            # What an instruction is done to is the first that the model sees.
            parent = request.image or next(iter(request.references), None)
            return parent, _seen(request), "inputTo"
        case Upscale() | Describe():
            return request.image, (), "inputTo"
        case Mask():
            return (request.image, (), "inputTo") if index == 0 else (None, (request.image,), "inputTo")
        case Compare():
            return None, request.inputs, "componentOf"
        case Grid():
            return None, [each for cell in request.cells for each in (cell.image, *_seen(cell)) if each], "inputTo"
        case Classify():
            return None, (request.image,), "inputTo"


def _seen(request: Imagine) -> list[Input]:
    return [*request.references, *(control.image for control in request.controls)]


def _ingredient(picture: Input, relation: Relation, pictures: Pictures) -> Ingredient:
    sha256 = picture.sha256
    return Ingredient(pictures.path(sha256), pictures.manifest(sha256), pictures.ingredient(sha256), relation)
