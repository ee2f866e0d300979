"""The data folder that the engines of a test run share with their bots: inputs put there, results read from there."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from inference.protocol import INCOMING, PICTURES, Picture, place


@functools.cache
def data_folder() -> Path:
    """An empty data folder, gone when the tests are over."""
    folder = Path(tempfile.mkdtemp(prefix="easel-data-"))
    atexit.register(shutil.rmtree, folder)
    for name in (PICTURES, INCOMING):
        (folder / name).mkdir()
    return folder


def put(files: Mapping[str, bytes]) -> None:
    """Have these inputs lie where the bot keeps them, under the hashes that they are called by."""
    for sha256, data in files.items():
        path = place(data_folder() / PICTURES, sha256)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def bytes_of(picture: Picture) -> bytes:
    """The file that the engine made of a picture."""
    return (data_folder() / INCOMING / picture.file).read_bytes()


def hashes(pictures: Iterable[Picture]) -> list[str]:
    """What tells these pictures from others, to the last bit of their files."""
    return [picture.sha256 for picture in pictures]
