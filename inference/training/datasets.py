"""A folder to train on: pictures, what each shows in words, and the data card. Imports no torch, trusts no file."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from inference.errors import TrainingError
from inference.pictures import images
from inference.protocol.limits.training import LEAST_PICTURES, LEAST_SIDE, MAX_CAPTION_CHARS, MAX_FILE_BYTES
from inference.silence import silenced
from inference.training import cards
from inference.training.cards import Card

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MOST = 1000
"""Of more pictures it is another trainer's work."""


@dataclass(frozen=True)
class Item:
    """A picture, and what it shows."""

    file: Path
    caption: str
    """With the trigger word."""
    size: tuple[int, int]
    """Width and height as it is looked at."""
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """What a LoRA is trained on."""

    card: Card
    items: tuple[Item, ...]
    uncaptioned: int
    """How many pictures have no words but the trigger."""

    @property
    def digest(self) -> str:
        """What tells it from others: the SHA-256 of all its pictures and words, whatever the files are called."""
        told = "\n".join(sorted(f"{item.sha256} {item.caption}" for item in self.items))
        return hashlib.sha256(told.encode()).hexdigest()


def read(folder: Path) -> Dataset:
    """What lies in a folder, each picture looked at as a whole. Raises TrainingError, in one line that names the file.

    Beside NAME.png, .jpg, .jpeg or .webp its caption is NAME.txt.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder} is no folder of pictures")
    card = cards.read(folder)
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in FORMATS)
    if not LEAST_PICTURES <= len(files) <= MOST:
        raise TrainingError(f"{folder} has {len(files)} pictures: {LEAST_PICTURES} to {MOST} are wanted")
    named: dict[str, Path] = {}
    for file in files:
        if (other := named.setdefault(file.stem, file)) is not file:
            raise TrainingError(f"{file} and {other} would share one caption: call one of them otherwise")
    items, uncaptioned = [], 0
    for file in files:
        data = _bytes_of(file)
        said = _caption(file.with_suffix(".txt"))
        uncaptioned += not said
        if not said and not card.trigger:
            raise TrainingError(f"{file} has no words: write {file.stem}.txt, or a trigger into {cards.FILE}")
        size = picture(file).size
        items.append(Item(file, _with_trigger(said, card.trigger), size, hashlib.sha256(data).hexdigest()))
    seen: dict[str, Item] = {}
    for item in items:
        if (same := seen.setdefault(item.sha256, item)) is not item:
            raise TrainingError(f"{item.file} is the same picture as {same.file}")
    return Dataset(card, tuple(items), uncaptioned)


def picture(file: Path) -> Image.Image:
    """One of its pictures as it is looked at: upright, RGB, on white. Raises TrainingError where it is none."""
    try:
        with silenced(), Image.open(file, formats=(FORMATS[file.suffix.lower()],)) as opened:
            width, height = opened.size
            if width * height > images.MAX_PIXELS:
                raise TrainingError(f"{file} is larger than {images.MAX_PIXELS} pixels")
            if min(width, height) < LEAST_SIDE or getattr(opened, "n_frames", 1) != 1:
                raise TrainingError(f"{file} is too small a picture, or moves")
            transparent = "A" in opened.getbands() or "transparency" in opened.info
            upright = ImageOps.exif_transpose(opened)
            return images.opaque(upright.convert("RGBA" if transparent else "RGB"))
    except UnidentifiedImageError as error:
        raise TrainingError(f"{file} is no picture of the kind that it is called") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{file} cannot be read as a picture: {' '.join(str(error).split())[:200]}") from error


def _bytes_of(file: Path) -> bytes:
    try:
        if not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            raise TrainingError(f"{file} is no file, or one of more than {MAX_FILE_BYTES >> 20} MB")
        return file.read_bytes()
    except OSError as error:
        raise TrainingError(f"{file} cannot be read: {error.strerror}") from error


def _caption(file: Path) -> str:
    try:
        if not file.exists():
            return ""
        if file.stat().st_size > 4 * MAX_CAPTION_CHARS:
            raise TrainingError(f"{file} has more than {MAX_CAPTION_CHARS} characters")
        said = " ".join(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file} cannot be read as UTF-8 text") from error
    if len(said) > MAX_CAPTION_CHARS or any(unicodedata.category(character) == "Cc" for character in said):
        raise TrainingError(f"{file} has more than {MAX_CAPTION_CHARS} characters, or one that is no letter")
    return said


def _with_trigger(said: str, trigger: str) -> str:
    if trigger.casefold() in said.casefold():
        return said
    return f"{trigger}, {said}" if said else trigger
