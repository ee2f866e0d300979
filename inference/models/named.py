"""The LoRAs that a request names, as files: those of the catalogue, and those that members have trained.

How they work in a model is for `adapters`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from inference.catalog import hashes, headers, published, weights
from inference.catalog.reading import Catalog
from inference.errors import UnavailableModel, WeightsError
from inference.models.adapters import Adapter
from inference.protocol import Lora, OwnLora, lora_file

log = logging.getLogger(__name__)


class Named:
    """Where LoRAs lie on this machine, by their names."""

    def __init__(self, catalog: Catalog, own: Sequence[OwnLora], folder: Path | None) -> None:
        """`own` go before those of the catalogue; their files lie in this folder, or nowhere."""
        self._catalog = catalog
        # Of equal names the first, as the rule has it.
        self._own = {one.name: one for one in reversed(own)}
        self._folder = folder

    def title(self, lora: Lora) -> str:
        """What members know it as."""
        own = self._own.get(lora.name)
        return self._catalog.loras[lora.name].title if own is None else own.name

    def adapter(self, lora: Lora) -> Adapter:
        """The LoRA with its file, whose bytes have been compared with what is known of them.

        Raises WeightsError where the file is not what it has to be, UnavailableModel where it is not there.
        """
        own = self._own.get(lora.name)
        file = self._of_catalog(lora.name) if own is None else self._of_member(own)
        return Adapter(lora.name, file, hashes.sha256(file), lora.weight, lora.words)

    def _of_catalog(self, name: str) -> Path:
        if (file := weights.locate(self._catalog, "lora", name)) is None:
            raise UnavailableModel("not_here", kind="lora", name=name)
        hashes.check(file, self._catalog.loras[name], name)
        return file

    def _of_member(self, own: OwnLora) -> Path:
        if self._folder is None or not (file := lora_file(self._folder, own.sha256)).is_file():
            log.error("the LoRA %s of a member is not in the data folder: restore it from a backup", own.sha256[:10])
            raise UnavailableModel("lora_file_gone", lora=own.name)
        if hashes.sha256(file) != own.sha256:
            raise WeightsError(f"{file} was changed since it was trained: restore it from a backup")
        headers.check(file)
        published.check_family(file, {own.family})
        return file
