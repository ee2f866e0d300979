"""`python -m benchmarks.signed`: what a signature costs a picture that goes out, beside making its file."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks.beside import Row, counted, table, timed
from bot.credentials import certificates, signing
from bot.credentials.signing import Seal
from bot.credentials.statements import Ingredient, Statement

SIDES = {256: 10, 1024: 10, 6000: 2}
"""Of pictures, each with how often it is measured at most."""

SAID = Statement({"name": "a model", "version": "0123"})


def measure(n: int) -> list[Row]:
    """CPU time of a PNG that is made and signed, beside one that is made; of further ways to sign; and memory."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seal = Seal(certificates.made(folder))
        rows = []
        for side, most in SIDES.items():
            rows += of_side(side, min(n, most), seal, folder)
        return [*rows, remembered(folder)]


def of_side(side: int, n: int, seal: Seal, folder: Path) -> list[Row]:
    """The rows for pictures of this side."""
    # Imported here: the process whose memory is measured needs no torch.
    from inference.marks.marking import Marks

    picture = Image.effect_noise((side, side), 24).convert("RGB")
    png, none = folder / f"{side}.png", folder / "none"

    def unsigned() -> None:
        png.write_bytes(Marks(watermark=False).png(picture, {}, "trainedAlgorithmicMedia", False))

    def signed() -> None:
        unsigned()
        gone(signing.sign(png, none, SAID, seal, folder))

    unsigned()
    first = signing.sign(png, none, SAID, seal, folder)
    assert first.manifest is not None
    kept = first.manifest.rename(folder / f"{side}.c2pa")
    parent = Statement(SAID.agent, (Ingredient(png, kept, none, "parentOf"),))
    store = kept.stat().st_size
    return [
        timed(f"a picture of {side} px made as PNG and signed", None, n, signed, unsigned, f"{store} bytes more"),
        timed(
            f"a picture of {side} px with its parent's manifest, beside without",
            None,
            n,
            lambda: gone(signing.sign(png, none, parent, seal, folder)),
            lambda: gone(signing.sign(png, none, SAID, seal, folder)),
        ),
        timed(
            f"a picture of {side} px given out again, beside signed anew",
            None,
            n,
            lambda: gone(signing.sign(png, kept, SAID, seal, folder)),
            lambda: gone(signing.sign(png, none, SAID, seal, folder)),
        ),
    ]


def gone(made: signing.Signed) -> None:
    """Remove what was made."""
    for file in (made.file, made.manifest):
        if file is not None:
            file.unlink()


def remembered(folder: Path) -> Row:
    """The most memory that a process takes that signs the largest of these pictures, and the smallest."""
    sides = sorted(SIDES)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as children:
        small, large = (children.apply(peak_mib, (folder / f"{side}.png", folder)) for side in (sides[0], sides[-1]))
    return counted(f"memory that signing takes at {sides[-1]} px, beside {sides[0]} px", None, "MiB", large, small)


def peak_mib(png: Path, folder: Path) -> float:
    """Sign this picture in a process of its own; the most memory that it took."""
    gone(signing.sign(png, folder / "none", SAID, Seal(certificates.made(folder)), folder))
    # Of `resource` it would be that of the process which started this one, where that is more.
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(table(measure(10)))
