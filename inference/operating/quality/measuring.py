"""Which figures there are of painted pictures, and why one is missing: every one of them is named, measured or not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference.errors import SettingsError
from inference.models.store import Store
from inference.networks import inception, perceptual
from inference.networks.classifier import Classifier
from inference.operating.quality import figures, measures
from inference.operating.quality.figures import Bar, Figure, mean, share
from inference.operating.quality.painting import Painted
from inference.operating.quality.prompts import Asked, PromptSet
from inference.pictures import images

FEW = 2048
"""Of fewer pictures than features an FID is mostly chance: it falls with their number, whatever the model."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """What looks at pictures: the networks whose weights are here, each loaded when it is first needed."""

    store: Store
    prompts: PromptSet[Any]
    clip: str | None
    """A classifier of the catalogue that knows the words of the prompts; None where none is here."""
    references: Path | None
    """A folder of pictures as they should be, instead of those that the set of prompts has."""

    @cached_property
    def inception(self) -> inception.Inception | None:
        """Inception, where its weights are here."""
        file = inception.fetched(inception.FILE)
        return None if file is None else inception.Inception(file, self.store.device.where)

    @cached_property
    def perceptual(self) -> perceptual.Perceptual | None:
        """LPIPS, where the library and AlexNet's weights are here."""
        file = inception.fetched(perceptual.FILE)
        if file is None or not perceptual.is_installed():
            return None
        return perceptual.Perceptual(file, self.store.device.where)

    def open(self) -> None:
        """Load what is no model of the catalogue now, so that a broken file is told before anything is painted.

        Raises WeightsError, or SettingsError where the folder of references has not two pictures.
        """
        _ = self.inception, self.perceptual
        if self.references is None:
            return
        if not self.references.is_dir():
            raise SettingsError(f"--references {self.references}: there is no such folder")
        if len(files := self._files(self.references)) < 2:
            raise SettingsError(f"--references {self.references}: it takes two pictures at least, and has {len(files)}")
        for file in files:
            _opened(file).close()

    def classifier(self) -> Classifier | None:
        """The CLIP model."""
        return None if self.clip is None else self.store.use_classifier(self.clip, lambda: None).network

    def wanted(self, asked: Sequence[Asked]) -> Iterator[Image.Image]:
        """Pictures as they should be. Raises SettingsError where one in the folder is none."""
        if self.references is None:
            yield from self.prompts.references(asked)
            return
        for file in self._files(self.references):
            with _opened(file) as picture:
                try:
                    read = images.opaque(picture)
                except (OSError, ValueError, SyntaxError) as error:
                    raise _unreadable(file) from error
            yield read

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        return sorted(each for each in folder.rglob("*") if each.suffix.lower() in ENDINGS and each.is_file())

    def clip_looks(self, pictures: Iterator[Image.Image]) -> list[torch.Tensor]:
        """What CLIP sees in each, with nothing where there is no CLIP."""
        classifier = self.classifier()
        if classifier is None:
            return []
        looks: list[torch.Tensor] = []
        while group := list(islice(pictures, classifier.batch)):
            looks += [*classifier.looks(group).float().cpu()]
        return looks


def of_pictures(painted: Painted, asked: Sequence[Asked], eyes: Eyes) -> list[Figure]:
    """Every figure of the pictures by themselves, and of what they took."""
    looks = eyes.clip_looks(painted.pictures())
    found = [_clip_score(looks, asked, eyes)]
    for name, right in eyes.prompts.judged(asked, painted.pictures()).items():
        found.append(share(f"right: {name}", right, note="judged"))
    found += _distributions(painted, asked, looks, eyes)
    values = [value for picture in painted.pictures() if (value := measures.niqe(picture)) is not None]
    untold = "" if values else f"pictures of {2 * measures.NIQE_BLOCK} x {measures.NIQE_BLOCK} pixels and more have one"
    found.append(mean("NIQE (less is better)", values, note=untold or "against photographs"))
    found.append(
        mean("time per picture", painted.seconds, unit="s", repeats=False, note="of full passes, by the clock")
    )
    found.append(Figure(name="weights", n=1, value=painted.weights_bytes / 1e6, unit="MB", note="in memory"))
    peak = painted.peak_bytes
    found.append(
        Figure(
            name="most of the card's memory",
            n=0 if peak is None else 1,
            value=None if peak is None else peak / 1e6,
            unit="MB",
            repeats=False,
            note="there is no card here" if peak is None else "",
        )
    )
    return found


def of_pairs(painted: Painted, whole: Painted, eyes: Eyes) -> list[Figure]:
    """How alike the pictures are to those of full precision, at the same seeds."""
    pairs = [*zip(painted.files, whole.files, strict=True)]
    decibels, structure, distance, same = [], [], [], []
    for one, other in pairs:
        with Image.open(one) as ours, Image.open(other) as theirs:
            same.append(ours.tobytes() == theirs.tobytes())
            structure.append(measures.ssim(ours, theirs))
            if not same[-1]:
                decibels.append(measures.psnr(ours, theirs))
            if eyes.perceptual is not None:
                distance.append(eyes.perceptual.distance(ours, theirs))
    missing = "" if distance else _why_no_lpips()
    of_others = "of the pictures that differ" if decibels else "all are the same"
    return [
        share("same pictures as full precision", same),
        mean("PSNR to full precision", decibels, unit="dB", note=of_others),
        mean("SSIM to full precision", structure),
        mean("LPIPS to full precision (less is better)", distance, note=missing or "AlexNet"),
    ]


def _clip_score(looks: Sequence[torch.Tensor], asked: Sequence[Asked], eyes: Eyes) -> Figure:
    """The mean of the cosine of picture and words, and 0 where it is less.

    (Hessel et al., CLIPScore: A Reference-free Evaluation Metric for Image Captioning, 2021; without their factor.)
    """
    classifier = eyes.classifier()
    if classifier is None:
        return Figure(
            name="CLIP score", bar=figures.CLIP, note="no CLIP is here that knows these words: models fetch one"
        )
    values = [max(0.0, classifier.closeness(look, one.text)) for look, one in zip(looks, asked, strict=True)]
    own = eyes.prompts.home is not None
    of_guide = "; the guide means OpenAI's" if own else ""
    note = f"[classifiers.{eyes.clip}]{of_guide}"
    return mean("CLIP score", values, bar=figures.CLIP, comparable=not own, note=note)


def _distributions(
    painted: Painted, asked: Sequence[Asked], looks: Sequence[torch.Tensor], eyes: Eyes
) -> Iterator[Figure]:
    """FID and Inception Score, and what stands in for them where Inception is not here."""
    n, fetch = len(asked), f"{inception.FILE} is not in {Path(torch.hub.get_dir()) / 'checkpoints'}"
    if (network := eyes.inception) is None:
        yield _missing("FID", figures.FID, fetch)
        yield _missing("Inception Score", figures.INCEPTION, fetch)
        wanted = eyes.clip_looks(eyes.wanted(asked))
        if len(looks) > 1 and len(wanted) > 1:
            value = measures.frechet(measures.stacked(looks), measures.stacked(wanted))
            note = f"to {len(wanted)} pictures as they should be, no FID: as [classifiers.{eyes.clip}] sees them"
            yield Figure(name="Fréchet distance (less is better)", n=n, value=value, note=note)
        if len(kinds := [*eyes.prompts.kinds(painted.pictures())]) > 1:
            value = measures.inception_score(torch.tensor(kinds))
            note = f"of {len(kinds[0])} things at most {len(kinds[0])}, by Inception Score's formula; judged"
            yield Figure(name="score of kinds", n=n, value=value, note=note)
        return
    seen = [network.looks(picture) for picture in painted.pictures()]
    wanted = [network.looks(picture)[0] for picture in eyes.wanted(asked)]
    if len(seen) > 1 and len(wanted) > 1:
        value = measures.frechet(measures.stacked(each for each, _ in seen), measures.stacked(wanted))
        few = f", too few to compare with others: {FEW} and more" if min(len(seen), len(wanted)) < FEW else ""
        yield Figure(name="FID", n=n, value=value, bar=figures.FID, note=f"to {len(wanted)} pictures{few}")
    else:
        yield _missing("FID", figures.FID, "it compares with pictures as they should be: --references FOLDER")
    value = measures.inception_score(measures.stacked(shares for _, shares in seen))
    few = f"of {n} pictures at most {n}" if n < FEW else ""
    yield Figure(name="Inception Score", n=n, value=value, bar=figures.INCEPTION, note=few)


def _opened(file: Path) -> Image.Image:
    """A picture whose kind and size are read. Raises SettingsError where it is none, or absurdly large."""
    try:
        with warnings.catch_warnings():
            # Pillow's warning of what may be a bomb; its error comes at twice that.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unreadable(file) from error


def _unreadable(file: Path) -> SettingsError:
    return SettingsError(f"--references: {file} is no picture that can be read: take it out of the folder")


def _missing(name: str, bar: Bar, note: str) -> Figure:
    return Figure(name=name, bar=bar, note=note)


def _why_no_lpips() -> str:
    if not perceptual.is_installed():
        return "needs a library: pip install 'easel[quality]' with -c constraints.txt"
    return f"{perceptual.FILE} is not in {Path(torch.hub.get_dir()) / 'checkpoints'}"
