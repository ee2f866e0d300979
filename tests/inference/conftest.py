"""What the inference tests share: tiny models on disk, a store over them, and requests to start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import diffusers.utils.logging
import pytest
import torch
import transformers.utils.logging

from inference import catalog, device
from inference.catalog import Catalog
from inference.device import Device
from inference.protocol import Event, Failed, Finished, Imagine
from inference.reports import Reporter
from inference.store import Store
from tests.inference import tiny


@pytest.fixture(scope="session")
def models_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of tiny models of every family."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    return tiny.build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def cpu() -> Iterator[Device]:
    threads = torch.get_num_threads()
    yield device.choose("cpu", threads=1)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def known(models_toml: Path) -> Catalog:
    return catalog.load(models_toml)


@pytest.fixture(scope="session")
def store(known: Catalog, cpu: Device) -> Store:
    """One store for all tests, so that each tiny model loads once."""
    return Store(catalog=known, device=cpu)


class Record(list[Event]):
    """Events in the order they were sent, with a reporter that writes into it."""

    def __init__(self) -> None:
        super().__init__()
        self.report = Reporter(self.append)

    def begin(self, *requests: Imagine) -> None:
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
