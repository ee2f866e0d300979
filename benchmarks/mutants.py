"""`python -m benchmarks.mutants`: damaged pictures and bombs of every format, read by the real child processes.

Prints what came of them. Seeded: the same seed makes the same files.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.errors import MemberError, WorkFailed
from bot.pictures import decoding
from bot.pictures.profiles import D65, PRIMARIES, matrix, srgb
from bot.pictures.workers import SENTENCES, Workshop

Change = Callable[[random.Random, bytes], bytes]

SIDE = 96
AT_ONCE = 4


@dataclass
class Tally:
    """What came of the files of one format."""

    outcomes: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0


async def survive(count: int, seed: int) -> Mapping[str, Tally]:
    """Let so many files be read, and after them one good one by every child."""
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as incoming:
        async with Workshop(Path(incoming)) as workshop:
            at_once = asyncio.Semaphore(AT_ONCE)

            async def try_one(kind: str, data: bytes) -> None:
                async with at_once:
                    with workshop.desk() as folder:
                        began = time.monotonic()
                        outcome = await _outcome(workshop, folder, data)
                tally = tallies.setdefault(kind, Tally())
                tally.outcomes[outcome] += 1
                tally.longest_s = max(tally.longest_s, time.monotonic() - began)

            files = mutants(count, seed)
            while batch := [file for file, _ in zip(files, range(100), strict=False)]:
                await asyncio.gather(*(try_one(kind, data) for kind, data in batch))
            for _ in range(AT_ONCE):
                await try_one("sound", sound("PNG"))
    return tallies


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Format and bytes of so many files."""
    rng = random.Random(seed)
    for number in range(count):
        if number % 20 == 0:
            yield "bombs", rng.choice(BOMBS)(rng)
            continue
        kind = rng.choice([*decoding.FORMATS])
        data = sound(kind, animated=kind in ("GIF", "WEBP", "PNG") and rng.random() < 0.3)
        for _ in range(rng.choice((1, 1, 2, 8))):
            data = rng.choice(CHANGES)(rng, data)
        yield kind, data


def sound(kind: str, *, animated: bool = False) -> bytes:
    """A good file with all that files of its kind carry: EXIF, texts, a profile."""
    picture = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    picture.putpixel((1, 1), (9, 200, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a red house\nSteps: 8".encode("utf-16-be")
    texts = PngInfo()
    texts.add_text("parameters", "a red house\nSteps: 8", zip=True)
    texts.add_itxt(
        "prompt", '{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0], "steps": 8}}}', zip=True
    )
    profile = matrix(PRIMARIES[12], D65, srgb)
    options: dict[str, object] = {
        "PNG": {"pnginfo": texts, "exif": exif, "icc_profile": profile},
        "JPEG": {"exif": exif, "progressive": True, "comment": b"a comment", "icc_profile": profile},
        "WEBP": {"exif": exif, "xmp": b"<exif:UserComment>{}</exif:UserComment>", "icc_profile": profile},
        "GIF": {"comment": b"a comment"},
        "HEIF": {"exif": exif.tobytes()},
        "AVIF": {"exif": exif, "icc_profile": profile},
        "TIFF": {"icc_profile": profile, "compression": "tiff_lzw"},
    }.get(kind, {})  # type: ignore[assignment]
    if animated:
        options |= {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def table(tallies: Mapping[str, Tally]) -> str:
    """What came of the files, a line for each format."""
    outcomes = ("read", "refused", *SENTENCES, "anything else")
    lines = [f"{'format':8}{'tried':>8}" + "".join(f"{name:>14}" for name in outcomes) + f"{'longest':>10}"]
    for kind, tally in sorted(tallies.items()):
        cells = "".join(f"{tally.outcomes[name]:>14}" for name in outcomes)
        lines.append(f"{kind:8}{tally.outcomes.total():>8}{cells}{tally.longest_s:>8.1f} s")
    return "\n".join(lines)


async def _outcome(workshop: Workshop, folder: Path, data: bytes) -> str:
    file = folder / "upload"
    await asyncio.to_thread(file.write_bytes, data)
    try:
        await workshop.uploads.run(decoding.recipe, file)
    except MemberError:
        pass  # reading it says the same
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return "anything else"
    try:
        await workshop.uploads.run(decoding.read, file, folder)
    except WorkFailed as error:
        return next(fault for fault, sentence in SENTENCES.items() if sentence == str(error))
    except MemberError:
        return "refused"
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return "anything else"
    return "read"


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 4, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_in_the_head(rng: random.Random, data: bytes) -> bytes:
    end = min(len(data), 128)
    return _flip(rng, data[:end]) + data[end:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: max(1, rng.randrange(len(data)))]


def _splice(rng: random.Random, data: bytes) -> bytes:
    start, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _drop(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 4, 64)) :] or b"\0"


def _lie_about_a_length(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(max(1, len(data) - 4))
    number = rng.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)))
    return data[:place] + number.to_bytes(4, rng.choice(("big", "little"))) + data[place + 4 :]


CHANGES: tuple[Change, ...] = (_flip, _flip_in_the_head, _cut, _splice, _drop, _lie_about_a_length)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_that_says_more(rng: random.Random) -> bytes:
    width, height = (rng.choice((8, 6_000, 65_535, 2**31 - 1)) for _ in range(2))
    depth, colour = rng.choice(((1, 0), (8, 2), (16, 6), (8, 3), (16, 0)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.randrange(2))
    pixels = _chunk(b"IDAT", zlib.compress(bytes(2**20)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + pixels + _chunk(b"IEND", b"")


def _png_with_a_packed_bomb(rng: random.Random) -> bytes:
    data = sound("PNG")
    name, start = rng.choice(((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")))
    return data[:33] + _chunk(name, start + zlib.compress(bytes(2**26))) + data[33:]


def _gif_that_says_more(rng: random.Random) -> bytes:
    sizes = [rng.choice((8, 6_000, 65_535)) for _ in range(4)]
    control = b"\x21\xf9\x04" + bytes([rng.randrange(4) << 2 | 1, 0, 0, 0, 0])
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, *sizes[2:], 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", *sizes[:2], 0x80, 0, 0) + bytes(6) + control + frame + b"\x3b"


def _jpeg_of_many_passes(rng: random.Random) -> bytes:
    data = sound("JPEG")
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * rng.choice((50, 90, 2_000)) + data[-2:]


def _jpeg_that_says_more(rng: random.Random) -> bytes:
    data = sound("JPEG")
    place = data.index(b"\xff\xc2") + 5
    return data[:place] + struct.pack(">HH", *(rng.choice((6_000, 65_500)) for _ in range(2))) + data[place + 4 :]


def _bmp_that_says_more(rng: random.Random) -> bytes:
    data = bytearray(sound("BMP"))
    data[18:26] = struct.pack("<ii", *(rng.choice((6_000, -6_000, 2**31 - 1)) for _ in range(2)))
    data[30] = rng.choice((0, 1, 2, 3))
    return bytes(data)


def _webp_that_says_more(rng: random.Random) -> bytes:
    data = bytearray(sound("WEBP"))
    data[24:30] = b"".join((rng.choice((6_000, 16_383, 2**24)) - 1).to_bytes(3, "little") for _ in range(2))
    return bytes(data)


BOMBS: tuple[Callable[[random.Random], bytes], ...] = (
    _png_that_says_more,
    _png_with_a_packed_bomb,
    _gif_that_says_more,
    _jpeg_of_many_passes,
    _jpeg_that_says_more,
    _bmp_that_says_more,
    _webp_that_says_more,
)


def main() -> int:
    """Try them all; returns 1 where anything but a picture or a sentence came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("--count", type=int, default=10_000, help="how many files (10000)")
    parser.add_argument("--seed", type=int, default=0, help="which (0)")
    asked = parser.parse_args()
    asyncio.run(survive(100, asked.seed + 1))  # until all is loaded that will be
    before = psutil.Process().memory_info().rss
    tallies = asyncio.run(survive(asked.count, asked.seed))
    after = psutil.Process().memory_info().rss
    print(table(tallies))
    print(f"memory of the bot's process: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")
    return int(any(tally.outcomes["anything else"] for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
