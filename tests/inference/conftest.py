"""What the inference tests share: tiny models on disk, a store over them, and requests to start from."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import diffusers.utils.logging
import msgspec
import pytest
import torch
import transformers.utils.logging
from PIL import Image

from inference import device
from inference.catalog import layouts, reading
from inference.catalog.entries import FolderEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.marks import marking
from inference.marks.marking import Marks
from inference.models.store import Store
from inference.painting import previews
from inference.pictures import images
from inference.protocol import INCOMING, Event, Failed, Finished, Imagine, Input, Ready, Task, sha256_of
from inference.tasks import imagine
from tests.inference import tiny, tiny_files
from tests.inference.folders import data_folder
from tests.inference.serving import Serving, said


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """What the program's own `main` sets for its process is gone with the test that called it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session", autouse=True)
def libraries_are_left_alone() -> Iterator[None]:
    """Have no collection look at what libraries and tests consist of: it would be most of what loading takes here.

    `Device.release_cache` looks at everything, each time that a model leaves, and puts it aside afterwards. Here what
    there is already is put aside once, and stays so; what tests load is looked at as always.
    """
    gc.collect()
    gc.freeze()
    with mock.patch.object(device, "gc", mock.Mock(spec_set=gc, collect=gc.collect)):
        yield
    gc.unfreeze()


@pytest.fixture
def collections_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test of what is looked at."""
    monkeypatch.setattr(device, "gc", gc)


@pytest.fixture(scope="session")
def models_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of tiny models of every family."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    return tiny.build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models as one file each, as diffusers folders, and with the configurations of each."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    return tiny_files.build(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session")
def cpu() -> Iterator[Device]:
    threads = torch.get_num_threads()
    yield device.choose("cpu", threads=1)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def known(models_toml: Path) -> Catalog:
    return reading.load(models_toml)


@pytest.fixture(scope="session")
def store(known: Catalog, cpu: Device) -> Store:
    """One store for all tests, so that each tiny model loads once."""
    return Store(catalog=known, device=cpu)


@pytest.fixture(scope="session")
def ready(known: Catalog, cpu: Device) -> Ready:
    """What an engine on this catalogue says of itself."""
    return said(known, cpu)


@pytest.fixture
def serving(known: Catalog, store: Store) -> Iterator[Serving]:
    """An engine that has said Ready."""
    serving = Serving(known, store)
    serving.peer.ready()
    yield serving
    serving.peer.socket.close()
    assert serving.ended()


class Record(list[Event]):
    """Events in the order they were sent, with a reporter that writes into it."""

    def __init__(self, marks: Marks = marking.ALL) -> None:
        super().__init__()
        self.report = Reporter(self.append, Files(data_folder() / INCOMING, marks))

    def begin(self, *requests: Task) -> None:
        for request in requests:
            assert self.report.accept(request.job)
            assert self.report.begin(request.job)

    def finished(self) -> dict[int, Finished]:
        """Wait for everything to be encoded; what ended well, by job."""
        self.report.close()
        return {event.job: event for event in self if isinstance(event, Finished)}

    def failed(self) -> dict[int, Failed]:
        return {event.job: event for event in self if isinstance(event, Failed)}


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture(scope="session")
def ask() -> Callable[..., Imagine]:
    return ask_for


def ask_for(job: int = 1, **changes: object) -> Imagine:
    """A request for the tiny 1.5 model that starts from ordinary values."""
    values: dict[str, object] = {
        "job": job,
        "model": "sd15",
        "prompt": "a red house",
        "seed": 7,
        "steps": 2,
        "guidance": 4.0,
        "sampler": "DPM++ 2M",
        "width": 32,
        "height": 32,
    }
    return Imagine(**{**values, **changes})  # type: ignore[arg-type]


def paint_from(files: Mapping[str, bytes], store: Store, *requests: Imagine) -> dict[int, Finished]:
    """Paint these together, as one group, from the pictures in `files`; what ended well, by job."""
    record = Record()
    record.begin(*requests)
    imagine.run(requests, files, store, record.report)
    return record.finished()


def with_model(known: Catalog, name: str = "sd15", **changes: object) -> Catalog:
    """This catalogue with other words about one of its models."""
    return replace(known, models={**known.models, name: msgspec.structs.replace(known.models[name], **changes)})


@pytest.fixture
def many_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview after every step but the last, whatever it costs, and none that comes too late to be sent."""
    show = Reporter.show

    def show_and_wait(self: Reporter, *shown: Any) -> None:
        show(self, *shown)
        self._encoding.submit(lambda: None).result()

    monkeypatch.setattr(Reporter, "show", show_and_wait)
    monkeypatch.setattr(previews, "FIRST_PREVIEW_S", 0.0)
    monkeypatch.setattr(previews, "PREVIEW_INTERVAL_S", 0.0)
    monkeypatch.setattr(previews, "PREVIEW_SHARE", 1e9)


def is_whole(folder: Path, entry: FolderEntry) -> bool:
    """Whether a folder lacks nothing that its layout promises."""
    try:
        layouts.check(folder, entry)
    except layouts.Incomplete:
        return False
    return True


def uploaded(picture: Image.Image, texts: Mapping[str, str] = MappingProxyType({})) -> tuple[Input, dict[str, bytes]]:
    """A picture as the bot has it: what a request says of it, and its bytes by their hash."""
    data = images.png(picture, texts)
    sha256 = sha256_of(data)
    return Input(sha256, picture.width, picture.height), {sha256: data}
