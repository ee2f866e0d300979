"""The files of trainings: each has a folder of its own, with its pictures and the run that the trainer writes.

Reads and writes files, in whatever thread it is called; which trainings there are is known to `store`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from bot.keeping.files import link_or_copy
from bot.training.states import Training, TrainingPicture
from inference.protocol import TRAININGS, fsync_folder

CARD = "card.toml"


class Folders:
    """The folder `trainings` of the data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._all = data / TRAININGS

    def pictures(self, training_id: int) -> Path:
        """The folder of a training's pictures, with their captions and the data card once it is submitted."""
        return self._all / str(training_id) / "pictures"

    def picture(self, training_id: int, number: int) -> Path:
        """One of its pictures."""
        return self.pictures(training_id) / f"{number:04}.png"

    def taken_along(self, name: str) -> Path:
        """The same by its name in an export."""
        training_id, _, number = name.partition("/")
        return self.picture(int(training_id), int(number))

    def run(self, training_id: int) -> Path:
        """What the trainer writes."""
        return self._all / str(training_id) / "run"

    def epoch(self, training_id: int, epoch: int) -> Path:
        """The folder of an epoch's LoRA, in both layouts, and of its preview."""
        return self.run(training_id) / "epochs" / f"{epoch:02}"

    def preview(self, training_id: int, epoch: int) -> Path:
        """What was painted after an epoch, if anything was."""
        return self.epoch(training_id, epoch) / "preview.png"

    def bring(self, source: Path, training_id: int, number: int) -> None:
        """Let a kept or uploaded picture be this one of a training as well. Raises OSError, FileNotFoundError where it
        is gone."""
        target = self.picture(training_id, number)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        link_or_copy(source, target)
        fsync_folder(target.parent)

    def drop(self, training_id: int, number: int) -> None:
        """Remove one picture. Raises OSError."""
        self.picture(training_id, number).unlink(missing_ok=True)

    def write(self, training: Training, pictures: Sequence[TrainingPicture]) -> None:
        """Lay out what the trainer is to learn from: these pictures and no others, captions, data card. Twice does no
        harm. Raises OSError, FileNotFoundError where a picture is gone."""
        folder = self.pictures(training.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = {CARD: _card(training)}
        for picture in pictures:
            file = self.picture(training.id, picture.number)
            if not file.is_file():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
            wanted[file.with_suffix(".txt").name] = picture.caption
            wanted[file.name] = ""
        for file in folder.iterdir():
            if file.name not in wanted:
                file.unlink()
        for name, text in wanted.items():
            if not name.endswith(".png"):
                part = folder / f"{name}.part"
                part.write_text(text, encoding="utf-8")
                part.replace(folder / name)

    def settle(self, training_id: int) -> None:
        """Remove what a run is gone on with, once it has come to its end. Raises OSError."""
        run = self.run(training_id)
        for part in (*run.glob("checkpoint*"), run / "priors"):
            shutil.rmtree(part, ignore_errors=True)
        (run / "examples.safetensors").unlink(missing_ok=True)

    def remove(self, training_id: int) -> None:
        """Remove all files of a training. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._all / str(training_id))

    def found(self) -> list[int]:
        """The numbers of the trainings that have files. Raises OSError."""
        self._all.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [int(folder.name) for folder in self._all.iterdir() if re.fullmatch(r"[1-9][0-9]{0,17}", folder.name)]

    def tidy(self, known: Collection[int]) -> None:
        """Remove every folder that is of none of these trainings: what a kill has left. Raises OSError."""
        names = {str(number) for number in known}
        for folder in self._all.iterdir():
            if folder.name not in names:
                shutil.rmtree(folder) if folder.is_dir() else folder.unlink()

    def measure(self) -> int:
        """How many bytes all of it takes."""
        total = 0
        for file in self._all.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += file.stat().st_size if file.is_file() else 0
        return total


def _card(training: Training) -> str:
    said = {
        "name": training.name,
        "kind": training.kind,
        "trigger": training.trigger,
        "consent": training.consent,
        "license": training.license,
    }
    # JSON's strings are strings of TOML where no control character is in them, which the rule sees to.
    return "".join(f"{field} = {json.dumps(text, ensure_ascii=False)}\n" for field, text in said.items())
