"""Finished pictures on their way out of this process: as files of the folder that the bot takes them over from.

When that happens and who is told is the reporter's business (`reports`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from inference.errors import NotKept
from inference.marks import marking
from inference.marks.marking import Marks
from inference.protocol import NO_ROOM, MadeBy, Picture, SourceType, leave


@dataclass(frozen=True, kw_only=True)
class Painted:
    """One finished picture before it is bytes."""

    image: Image.Image
    seed: int | None = None
    source: SourceType
    """Where it comes from, which its file will say."""
    made_by: MadeBy | None = None
    """What made it, which its file will say where a model made it."""
    texts: dict[str, str]
    """Further text chunks of the PNG."""
    watermarked: bool = False
    """Whether it is to bear the invisible watermark; its recipe says the same."""
    within: Image.Image | None = None
    """A mask of the only part that may bear it."""
    flagged: bool = False
    """Whether a checker flagged it."""


class Files:
    """PNG files in a folder that the bot takes them over from."""

    def __init__(self, incoming: Path, marks: Marks = marking.ALL) -> None:
        """`marks` is how they are marked."""
        self._incoming = incoming
        self.marks = marks

    def keep(self, painted: Painted) -> Picture:
        """Write the picture with its texts and marks, so that it survives a power cut. Raises NotKept."""
        image = painted.image
        data = self.marks.png(
            image, painted.texts, painted.source, painted.watermarked, painted.made_by, painted.within
        )
        try:
            left = leave(self._incoming, data)
        except OSError as error:
            raise NotKept("disk_full" if error.errno in NO_ROOM else "disk_failed") from error
        return Picture(
            file=left.file,
            sha256=left.sha256,
            width=image.width,
            height=image.height,
            seed=painted.seed,
            flagged=painted.flagged,
        )

    def drop(self, picture: Picture) -> None:
        """Remove the file of a picture that nobody was told of; one that stays is swept at the bot's next start."""
        with contextlib.suppress(OSError):
            (self._incoming / picture.file).unlink()
