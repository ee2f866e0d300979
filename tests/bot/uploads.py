"""Files as members upload them, made by tests, and what comes of reading one."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from bot.pictures import decoding
from bot.pictures.recipes import Recipe
from inference.protocol import sha256_of


def picture(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", (width, height), "blue")
    ImageDraw.Draw(image).rectangle((0, 0, width // 2 - 1, height), fill="red")
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


@dataclass
class Read:
    """What came of an upload."""

    png: bytes
    width: int
    height: int


def decode(data: bytes) -> Read:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "upload")
        file.write_bytes(data)
        upload = decoding.read(file, Path(folder))
        png = Path(folder, upload.file).read_bytes()
    assert decoding.Upload(upload.file, sha256_of(png), upload.width, upload.height) == upload
    return Read(png, upload.width, upload.height)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def told(data: bytes) -> Recipe | None:
    """What the file says of how it was made."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "upload")
        file.write_bytes(data)
        return decoding.recipe(file)


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) if crc is None else crc)
    )


def with_chunk(data: bytes, inserted: bytes) -> bytes:
    """A PNG with one chunk more, behind its header."""
    return data[:33] + inserted + data[33:]
