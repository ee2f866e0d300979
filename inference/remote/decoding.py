"""What came as a picture, made pixels: in a child process that knows no key, and has an end.

`python -m inference.remote.decoding` reads a file from stdin and writes a line with mode and size, then raw pixels.
Where it is no picture it says nothing, and ends with status 1.
"""

from __future__ import annotations

import asyncio
import io
import resource
import sys

from PIL import Image

from inference.errors import TaskError
from inference.silence import silenced

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 2**25
MAX_BYTES = 64 * 2**20
"""Of one file."""

MEMORY_BYTES = 2 * 2**30
SECONDS = 30
"""What a child may take, of processor and of time."""


async def decoded(data: bytes) -> Image.Image:
    """The picture in this file, RGB or RGBA. Raises TaskError where there is none, or none that can be taken."""
    if len(data) > MAX_BYTES:
        raise TaskError("remote_broken")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inference.remote.decoding"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Nothing of this process's: neither keys nor where pictures are kept.
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await child.communicate(data)
    except TimeoutError as error:
        raise TaskError("remote_broken") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    head, _, pixels = said.partition(b"\n")
    try:
        mode, width, height = head.decode("ascii").split()
        size = (int(width), int(height))
        if mode not in ("RGB", "RGBA") or not 0 < size[0] * size[1] <= MAX_PIXELS or child.returncode != 0:
            raise ValueError
        return Image.frombytes(mode, size, pixels)
    except ValueError as error:
        raise TaskError("remote_broken") from error


def main() -> int:
    """The child."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        with silenced(), Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return 1
            transparent = "A" in picture.getbands() or "transparency" in picture.info
            plain = picture.convert("RGBA" if transparent else "RGB")
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError):
        return 1
    sys.stdout.buffer.write(f"{plain.mode} {plain.width} {plain.height}\n".encode() + plain.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
