"""What the texts in a picture's file say of how it was made, by Easel or by another tool.

A tool is named where its own mark says whose recipe it is: what many write alike, as the `parameters` that
AUTOMATIC1111 began with, tells of none. How ComfyUI's graphs are read is in `graphs`.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bot.pictures import graphs
from bot.pictures.texts import PARAMETERS, STEPS, object_of

Texts = Mapping[str, str]
Object = Mapping[str, Any]

VALUE_CHARS = 200
"""Of a setting; what is longer is no name and no number."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "Steps": ("steps", "num_inference_steps"),
    "Sampler": ("sampler", "sampler_name", "scheduler"),
    "CFG scale": ("cfg_scale", "cfgscale", "guidance_scale", "scale", "cfg"),
    "Seed": ("seed", "noise_seed", "rand_seed"),
    "Size": ("size", "resolution"),
    "Model": ("model", "model_weights", "base_model", "use_stable_diffusion_model", "stable_diffusion_model"),
}
"""What AUTOMATIC1111 calls a setting, and what others do, in small letters and without spaces."""

PROMPTS = ("prompt", "positive_prompt", "c")
NEGATIVES = ("negative_prompt", "negativeprompt", "negative", "uc")

DREAM = {"-s": "Steps", "-A": "Sampler", "-C": "CFG scale", "-S": "Seed", "-W": "width", "-H": "height"}
"""The options of InvokeAI's first versions."""

DREAM_CHARS = 2000
"""That are looked at of them."""

VERSIONS = {"easel ": "Easel", "Fooocus": "Fooocus", "ComfyUI": "ComfyUI"}
"""How `Version` begins in the `parameters` of tools that say their name there."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file says of how its picture was made."""

    tool: str | None
    """Whose it is, where that is sure: one of READERS, or of VERSIONS."""
    words: str
    """As AUTOMATIC1111 writes it, so far as it is understood; empty where nothing is."""
    whole: str
    """All of it, as it stands in the file."""
    suffix: Literal["txt", "json"]
    """Of a file that holds the whole."""

    @property
    def by_model(self) -> bool:
        """Whether it says that a model made the picture: `parameters` are what somebody calls so."""
        return self.tool is not None or bool(STEPS.search(self.words))


def told(texts: Texts) -> Recipe | None:
    """The recipe among these texts; None where there is none."""
    for tool, read in READERS.items():
        if (recipe := read(texts)) is not None:
            return replace(recipe, tool=tool)
    return _parameters(texts)


def _easel(texts: Texts) -> Recipe | None:
    if "request" not in (object_of(texts.get("easel")) or {}):
        return None
    return Recipe(None, texts.get(PARAMETERS, ""), texts["easel"], "json")


def _swarm(texts: Texts) -> Recipe | None:
    settings = (object_of(texts.get(PARAMETERS)) or {}).get("sui_image_params")
    return _of_object(settings, texts[PARAMETERS]) if isinstance(settings, dict) else None


def _fooocus(texts: Texts) -> Recipe | None:
    """As JSON, or as AUTOMATIC1111 writes it: which of them is told in a mark of its own."""
    text = texts.get(PARAMETERS, "")
    settings = object_of(text)
    marks = (texts.get("Software", ""), str((settings or {}).get("version")))
    named = any(mark.startswith("Fooocus") for mark in marks)
    if not named and texts.get("fooocus_scheme") not in ("fooocus", "a1111"):
        return None
    if settings is None:
        return Recipe(None, text, text, "txt") if STEPS.search(text) else None
    return _of_object(settings, text)


def _invokeai(texts: Texts) -> Recipe | None:
    if (settings := object_of(texts.get("invokeai_metadata"))) is not None:
        model = settings.get("model")
        named = {"model": model.get("name", model.get("model_name"))} if isinstance(model, dict) else {}
        return _of_object({**settings, **named}, texts["invokeai_metadata"])
    if (settings := object_of(texts.get("sd-metadata"))) is not None:
        image = settings.get("image")
        image = image if isinstance(image, dict) else {}
        asked = image.get("prompt")
        # Several with their weights, in some versions.
        prompts = (
            [each.get("prompt") for each in asked if isinstance(each, dict)] if isinstance(asked, list) else [asked]
        )
        prompt, negative = _parted(" ".join(each for each in prompts if isinstance(each, str)))
        named = {"prompt": prompt, "negative_prompt": negative, "model": settings.get("model_weights")}
        return _of_object({**image, **named}, texts["sd-metadata"])
    return _dream(texts["Dream"]) if "Dream" in texts else None


def _dream(command: str) -> Recipe | None:
    """A command of InvokeAI's first versions: the prompt in quotes, then options."""
    prompt, quote, options = command.strip().removeprefix('"').rpartition('" ')
    try:
        words = shlex.split(options[:DREAM_CHARS])
    except ValueError:
        return None
    pairs = itertools.pairwise(words)
    settings = {DREAM[option]: value for option, value in pairs if option in DREAM}
    if not quote or not settings:
        return None
    return Recipe(None, _words(*_parted(prompt), _sized(settings)), command, "txt")


def _parted(prompt: str) -> tuple[str, str]:
    """The words of InvokeAI's first versions without what should not be there, and that, which stands in brackets."""
    return " ".join(re.sub(r"\[[^\[\]]*\]", "", prompt).split()), " ".join(re.findall(r"\[([^\[\]]*)\]", prompt))


def _novelai(texts: Texts) -> Recipe | None:
    settings = object_of(texts.get("Comment"))
    if settings is None or texts.get("Software") != "NovelAI":
        return None
    prompt = settings.get("prompt") or texts.get("Description", "")
    asked = {**settings, "prompt": prompt, "model": texts.get("Source")}
    return _of_object(asked, texts["Comment"])


def _draw_things(texts: Texts) -> Recipe | None:
    settings = object_of(texts.get(PARAMETERS))
    if settings is None or "c" not in settings or not texts.get("Software", "").startswith("Draw Things"):
        return None
    return _of_object(settings, texts[PARAMETERS])


def _easy_diffusion(texts: Texts) -> Recipe | None:
    """As one object in a comment, or every setting under a keyword of its own, in a PNG."""
    settings = object_of(texts.get(PARAMETERS)) or dict(texts)
    if not {"use_stable_diffusion_model", "Stable Diffusion model"} & settings.keys():
        return None
    return _of_object(settings, json.dumps(settings, ensure_ascii=False, indent=1))


def _comfyui(texts: Texts) -> Recipe | None:
    graph, workflow = object_of(texts.get("prompt")), object_of(texts.get("workflow"))
    if not graphs.is_graph(graph) and not graphs.is_workflow(workflow):
        return None
    # Nodes of its members write what AUTOMATIC1111 does beside it, of what they know better than a graph tells.
    words = texts.get(PARAMETERS, "") if STEPS.search(texts.get(PARAMETERS, "")) else ""
    if not words and graph is not None and (settings := graphs.settings(graph)):
        words = _of_object(settings, "").words
    return Recipe(None, words, texts["workflow" if graphs.is_workflow(workflow) else "prompt"], "json")


def _parameters(texts: Texts) -> Recipe | None:
    """What AUTOMATIC1111 writes, and whoever writes as it does."""
    text = texts.get(PARAMETERS, "").strip()
    if not text:
        return None
    if (settings := object_of(text)) is None:
        version = re.search(r"\bVersion: ([^,\n]{1,80})", text[text.rfind("\n") + 1 :])
        said = version[1] if version else ""
        tool = next((name for start, name in VERSIONS.items() if said.startswith(start)), None)
        return Recipe(tool, text, text, "txt")
    asked = _of_object(settings, text)
    # Words, and how often they were gone over: of anything less it could be anything.
    return asked if STEPS.search(asked.words.partition("\n")[2]) else None


READERS: Mapping[str, Callable[[Texts], Recipe | None]] = {
    "Easel": _easel,
    "SwarmUI": _swarm,
    "Fooocus": _fooocus,
    "InvokeAI": _invokeai,
    "NovelAI": _novelai,
    "Draw Things": _draw_things,
    "Easy Diffusion": _easy_diffusion,
    "ComfyUI": _comfyui,
}
"""By tool what finds its recipe, or None where there is nothing of its own."""


def _of_object(settings: Object, whole: str) -> Recipe:
    """What a tool keeps as JSON."""
    named = {str(key).lower().replace(" ", "_"): value for key, value in settings.items()}
    chosen = {
        field: value
        for field, names in FIELDS.items()
        if (value := next((found for name in names if (found := _value(named.get(name)))), ""))
    }
    sides = {side: _value(named.get(side)) for side in ("width", "height")}
    prompt, negative = (next(_texts(named, names), "") for names in (PROMPTS, NEGATIVES))
    return Recipe(None, _words(prompt, negative, _sized({**chosen, **sides})), whole, "json")


def _texts(named: Object, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if isinstance(text := named.get(name), str) and text.strip():
            yield text.strip()


def _value(value: object) -> str:
    """A setting as it is shown; empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= VALUE_CHARS else ""


def _sized(settings: Mapping[str, str]) -> dict[str, str]:
    """With the two sides as one size."""
    rest = {name: value for name, value in settings.items() if name not in ("width", "height")}
    if settings.get("width") and settings.get("height"):
        rest["Size"] = f"{settings['width']}x{settings['height']}"
    elif size := re.fullmatch(r"\((\d+), ?(\d+)\)", rest.get("Size", "")):
        rest["Size"] = f"{size[1]}x{size[2]}"
    return rest


def _words(prompt: str, negative: str, settings: Mapping[str, str]) -> str:
    lines = [prompt, f"Negative prompt: {negative}" if negative else ""]
    lines.append(", ".join(f"{name}: {settings[name]}" for name in FIELDS if settings.get(name)))
    return "\n".join(line for line in lines if line)
