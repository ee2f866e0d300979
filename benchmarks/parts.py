"""What a card does beside steps, and its baseline, in turn: a model that comes back, a picture that is enlarged,
pictures that are asked about.

The same code runs on a CPU with small things; `gpu` calls it with large ones.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data, metrics

from benchmarks.beside import Row
from inference.catalog import weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models import loaders
from inference.models.store import Store
from inference.networks.classifier import Classifier
from inference.networks.describer import Describer

BACK_GOAL = 0.3
ENLARGED_GOAL = 1 / 1.8
CLASSIFIED_GOAL = 1 / 8
DESCRIBED_GOAL = 1 / 3
LABELS = ("a house", "a boat", "a cat", "a tree")
TEMPLATES = ("a picture of {}",)
ALIKE_DB = 50.0
"""What an enlarged picture shall be like that of Real-ESRGAN's own code, at least."""
HOST_BYTES = 64 * 10**9


def switched(known: Catalog, name: str, chosen: Device, pairs: int) -> Row:
    """A picture model that comes back from the machine's memory beside one that is read from its files, which the
    system may hold in its own cache."""
    waiting = Store(catalog=known, device=chosen, host_cache_bytes=HOST_BYTES)
    reading = Store(catalog=known, device=chosen)
    for store in (waiting, reading):
        store.use(name, _nothing)
        store.let_go()

    def use(store: Store) -> float:
        seconds = _seconds(lambda: store.use(name, _nothing), chosen)
        store.let_go()
        return seconds

    return _row("  back on the card", BACK_GOAL, [(use(waiting), use(reading)) for _ in range(pairs)])


def enlarged(known: Catalog, name: str, chosen: Device, side: int, pairs: int) -> tuple[Row, float]:
    """A photograph of this side, enlarged here and by Real-ESRGAN's own code, in half precision on a card; and how
    alike both come out, in decibels. Nothing is put around it, as their own program has it."""
    here = weights.locate(known, "upscaler", name)
    assert here is not None, f"the upscaler {name} is not on this machine"
    network = loaders.upscaler(known, name, here, chosen).load().network
    # Not before: it is made fit for this torchvision where upscalers are loaded.
    from realesrgan import RealESRGANer

    photographs: Any = data
    picture = Image.fromarray(photographs.astronaut()).resize((side, side), Image.Resampling.LANCZOS)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        bare: Any = copy.deepcopy(network.network).float()
        torch.save({"params": bare.state_dict()}, path)
        theirs = RealESRGANer(network.scale, str(path), model=bare, pre_pad=0, half=chosen.is_cuda, device=chosen.where)
    # Their way from pixels to pixels is in the order of OpenCV.
    asked = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
    made: dict[str, Any] = {}

    def ours() -> None:
        made["ours"] = np.asarray(network.enlarge(picture))

    def bare_call() -> None:
        made["theirs"] = theirs.enhance(asked)[0][:, :, ::-1]

    ours()
    bare_call()
    row = _row(
        f"{known.upscalers[name].title}, {side} px",
        ENLARGED_GOAL,
        [(_seconds(ours, chosen), _seconds(bare_call, chosen)) for _ in range(pairs)],
    )
    how: Any = metrics
    with np.errstate(divide="ignore"):
        alike = float(how.peak_signal_noise_ratio(made["ours"], made["theirs"]))
    return row, min(alike, 99.0)


def classified(known: Catalog, name: str, chosen: Device, batch: int, pairs: int) -> tuple[Row, bool]:
    """So many photographs compared with labels in one pass, and in passes of their own; and whether each has the same
    shares in a pass that is filled up with copies of it."""
    here = weights.locate(known, "classifier", name)
    assert here is not None, f"the classifier {name} is not on this machine"
    network = loaders.classifier(known, name, here, chosen).load().network

    def shares(pictures: Sequence[Image.Image]) -> list[list[float]]:
        return [network.fit(look, LABELS, TEMPLATES) for look in network.looks(pictures)]

    title = f"{known.classifiers[name].title}, {batch} pictures in a pass"
    return _asked(title, CLASSIFIED_GOAL, network, shares, chosen, batch, pairs)


def described(known: Catalog, name: str, chosen: Device, batch: int, pairs: int) -> tuple[Row, bool]:
    """The same of a describer and captions."""
    here = weights.locate(known, "describer", name)
    assert here is not None, f"the describer {name} is not on this machine"
    network = loaders.describer(known, name, here, chosen).load().network

    def captions(pictures: Sequence[Image.Image]) -> list[str]:
        return network.answers(pictures, "caption")

    title = f"{known.describers[name].title}, {batch} pictures in a pass"
    return _asked(title, DESCRIBED_GOAL, network, captions, chosen, batch, pairs)


def _asked(
    title: str,
    goal: float,
    network: Classifier | Describer,
    ask: Callable[[Sequence[Image.Image]], Sequence[object]],
    chosen: Device,
    batch: int,
    pairs: int,
) -> tuple[Row, bool]:
    """Files are read and made small by the processor in both ways, one by one."""
    photographs: Any = data
    picture = Image.fromarray(photographs.astronaut())
    pictures = [picture.rotate(360 * number / batch) for number in range(batch)]

    def together() -> Sequence[object]:
        network.batch = batch
        return ask(pictures)

    def apart() -> list[object]:
        network.batch = 1
        return [ask([each])[0] for each in pictures]

    apart()
    answers = list(together())
    alone = [ask([each])[0] for each in pictures]
    return _row(title, goal, [(_seconds(together, chosen), _seconds(apart, chosen)) for _ in range(pairs)]), (
        answers == alone
    )


def _row(name: str, goal: float, measured: list[tuple[float, float]]) -> Row:
    ours, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
    ratio = statistics.median(mine / other for mine, other in measured)
    return Row(name, goal, len(measured), "s", ours, theirs, ratio, ratio)


def _seconds(work: Callable[[], object], chosen: Device) -> float:
    chosen.settle()
    began_s = time.perf_counter()
    work()
    chosen.settle()
    return time.perf_counter() - began_s


def _nothing() -> None:
    pass
