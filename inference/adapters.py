"""LoRAs beside a loaded pipeline: added once, then switched on, off and over without touching the base's weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from inference.errors import WeightsError
from inference.quiet import quietened

KEPT = 8
"""How many stay beside a pipeline for whoever wants them next, the active ones among them."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA's file, and how strongly it is wanted."""

    name: str
    file: Path
    weight: float


class Adapters:
    """The LoRAs of one pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._known: OrderedDict[Path, str] = OrderedDict()
        """What peft calls each file, least recently used first."""
        self._added = 0
        self.active: tuple[Adapter, ...] = ()

    def switch(self, wanted: Sequence[Adapter]) -> None:
        """Have exactly these work from now on, in this order; with none the pipeline is the base, bit for bit.

        Raises WeightsError where one of them does not fit this pipeline; the base works then.
        """
        self._set_enabled(False)
        self.active = ()
        for adapter in wanted:
            if adapter.file not in self._known:
                self._add(adapter)
            self._known.move_to_end(adapter.file)
        if wanted:
            names = [self._known[adapter.file] for adapter in wanted]
            self._set_enabled(True)
            self._pipeline.set_adapters(names, [adapter.weight for adapter in wanted])
        self.active = tuple(wanted)
        while len(self._known) > KEPT:
            self._pipeline.delete_adapters(self._known.popitem(last=False)[1])

    def _add(self, adapter: Adapter) -> None:
        # A name of our own: peft makes module names of them, which admit no dots.
        name = f"lora{self._added}"
        self._added += 1
        try:
            # Most LoRAs leave the text encoders alone, and others may be there already: both are as it should be.
            with quietened("diffusers", "transformers"):
                self._pipeline.load_lora_weights(
                    adapter.file.parent, weight_name=adapter.file.name, adapter_name=name, local_files_only=True
                )
            if not any(name in held for held in self._pipeline.get_list_adapters().values()):
                raise ValueError("it has no weights for any part of it")
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            with suppress(Exception):
                self._pipeline.delete_adapters(name)
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"the LoRA {adapter.name} ({adapter.file}) does not fit its model: {reason}") from error
        finally:
            # diffusers takes its hooks off while it adds a LoRA, and leaves them off where that fails.
            self._pipeline.maybe_free_model_hooks()
        self._known[adapter.file] = name

    def _set_enabled(self, enabled: bool) -> None:
        """Let every part that has LoRAs use them, or none."""
        for part in self._pipeline.components.values():
            if getattr(part, "peft_config", None):
                (part.enable_adapters if enabled else part.disable_adapters)()
