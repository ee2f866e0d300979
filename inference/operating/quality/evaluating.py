"""`evaluate`: paints a fixed set of prompts with a model, and says how good and how dear the pictures are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from inference import device, recipes
from inference.catalog import keeping, sources, weights
from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import SettingsError, TaskError
from inference.models import placement
from inference.models.store import Store
from inference.operating.quality import figures, measuring, painting, prompts, showing, ways
from inference.operating.quality.figures import Figure
from inference.operating.quality.measuring import Eyes
from inference.operating.quality.painting import AsOnCard, Painted
from inference.operating.quality.prompts import Asked, PromptSet
from inference.painting import alone
from inference.settings import Settings

REPORT = "figures.json"
FEWEST, MOST = 2, 100_000


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asks for."""

    model: str
    policy: str | None
    pictures: int | None
    prompts: str | None
    classifier: str | None
    references: Path | None
    out: Path | None


def evaluate(configured: Settings, known: Catalog, wanted: Wanted) -> int:
    """Paint, measure, print and keep the figures, and return the exit status. Raises OperatorError."""
    place = _require_model(configured, known, wanted.model)
    changed = ways.changes(wanted.policy)
    asking = prompts.choose(wanted.prompts, place)
    number = asking.usual if wanted.pictures is None else wanted.pictures
    if not FEWEST <= number <= MOST:
        raise SettingsError(f"--pictures {number}: from {FEWEST} to {MOST}")
    here = device.choose(configured.device, configured.threads)
    entry, here = _kept(known.models[wanted.model], changed, here)
    if changed:
        sources.check("--policy", entry, known.models)
        keeping.check("--policy", entry)
    placement.require({wanted.model: entry}, here)
    clip = _clip(known, asking, wanted.classifier)
    eyes = Eyes(store=Store(catalog=known, device=here), prompts=asking, clip=clip, references=wanted.references)
    eyes.open()
    out = _folder(wanted.out or Path("build/quality") / wanted.model)
    asked = asking.asked(number)
    print(f"{wanted.model}, {ways.in_words(entry)}: {number} pictures of {asking.name} on {here.name}", flush=True)
    try:
        painted = _painted(known, wanted.model, entry, here, asked, out / "pictures")
        whole = None
        if not ways.is_whole(entry):
            as_it_is = msgspec.structs.replace(entry, **ways.WHOLE)
            whole = _painted(known, wanted.model, as_it_is, here, asked, out / "full precision")
    except TaskError as error:
        raise SettingsError(f"evaluate {wanted.model}: it could not be painted with ({error})") from error
    found = measuring.of_pictures(painted, asked, eyes)
    if whole is not None:
        of_pairs = measuring.of_pairs(painted, whole, eyes)
        found = [*figures.beside(found, measuring.of_pictures(whole, asked, eyes)), *of_pairs]
    print(figures.table(found, compared=whole is not None))
    title = f"{wanted.model}, {ways.in_words(entry)}: {number} pictures of {asking.name}"
    made = showing.write(out, asked, painted, whole, title, found)
    made.append(_report(out / REPORT, wanted.model, entry, here, asking, painted, found))
    print(f"the pictures are in {out / 'pictures'}; written: {', '.join(map(str, made))}")
    return 0


def _require_model(configured: Settings, known: Catalog, name: str) -> Path:
    """Where the model's weights are. Raises SettingsError, or WeightsError, where it cannot be painted with."""
    if name not in known.models:
        here = ", ".join(weights.available(known)) or "none"
        raise SettingsError(f"evaluate: there is no [models.{name}] in {configured.models}; here are {here}")
    place = weights.locate(known, "model", name)
    if (reason := weights.reason(known, "model", name)) is not None or place is None:
        raise SettingsError(f"evaluate {name}: {reason}")
    if not alone.paints_from_words(known.models[name]) or weights.edits_only(known, name):
        raise SettingsError(f"{name} paints nothing without a picture: `evaluate` has no use for it")
    return place


def _kept(entry: ModelEntry, changed: dict[str, object], here: Device) -> tuple[ModelEntry, Device]:
    """The entry as it is painted with, and the device as it is used: smaller weights that are asked for are computed
    with on a CPU too; what an entry says for cards alone has no meaning there."""
    if here.is_cuda:
        return msgspec.structs.replace(entry, **changed), here
    ways.require_useful(changed, has_card=False)
    entry = msgspec.structs.replace(entry, **{**ways.WHOLE, "speed": entry.speed, **changed})
    if entry.weights != "full":
        here = AsOnCard(where=here.where, name=f"{here.name} as on a card", memory_bytes=here.memory_bytes)
    return entry, here


def _clip(known: Catalog, asking: PromptSet[Any], named: str | None) -> str | None:
    """The classifier that tells how near pictures are to words: of this name, else the first that knows these words."""
    here = weights.available(known, "classifier")
    if named is not None and named not in known.classifiers:
        raise SettingsError(f"--classifier {named}: there is no [classifiers.{named}]")
    if named is not None and named not in here:
        raise SettingsError(f"--classifier {named}: {weights.reason(known, 'classifier', named)}")
    if named is not None:
        return named
    homes = [one.home for one in prompts.sets().values() if one.home is not None]

    def home(name: str) -> Path | None:
        place = weights.locate(known, "classifier", name)
        return next((one for one in homes if place is not None and place.resolve().is_relative_to(one)), None)

    return next((name for name in here if home(name) == asking.home), None)


def _folder(out: Path) -> Path:
    """The folder for what is written, made if need be, and emptied of what an evaluation left. Raises SettingsError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / REPORT).is_file():
            raise SettingsError(f"--out {out}: other things lie there; name a folder that is empty or new")
        # Written first, so that a folder is known again whose evaluation broke off.
        (out / REPORT).write_text("{}\n")
        for folder in ("pictures", "full precision"):
            for file in (out / folder).glob("*.png"):
                if re.fullmatch(r"\d{5}\.png", file.name):
                    file.unlink()
    except OSError as error:
        raise SettingsError(f"--out {out}: nothing can be written there ({error.strerror})") from error
    return out


def _painted(
    known: Catalog, name: str, entry: ModelEntry, here: Device, asked: Sequence[Asked], folder: Path
) -> Painted:
    try:
        # None: shown where somebody looks on.
        with tqdm(total=len(asked), desc=ways.in_words(entry), unit="picture", disable=None) as bar:
            return painting.paint(known, name, entry, here, asked, folder, bar.update)
    except OSError as error:
        raise SettingsError(f"--out {folder}: nothing can be written there ({error.strerror or error})") from error


def _report(
    file: Path,
    name: str,
    entry: ModelEntry,
    here: Device,
    asking: PromptSet[Any],
    painted: Painted,
    found: Sequence[Figure],
) -> Path:
    """Write the figures with what they were measured with."""
    told = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "model": name,
        "policy": msgspec.to_builtins(painted.policy),
        **{field: getattr(entry, field) for field in ("steps", "guidance", "sampler", "width", "height", "upscaler")},
        "prompts": asking.name,
        "pictures": len(painted.files),
        "device": here.name,
        "versions": dict(recipes.versions()),
        "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in found],
    }
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
