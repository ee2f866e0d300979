"""LoRAs beside a loaded pipeline: added once, then switched on, off and over without touching the base's weights.

A LoRA works as a whole or is refused: what diffusers would leave out of one, it leaves out with a warning.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from inference.catalog import headers
from inference.device import is_out_of_memory
from inference.errors import WeightsError
from inference.networks.finite import is_finite
from inference.silence import silenced

KEPT = 8
"""How many stay beside a pipeline for whoever wants them next, the active ones among them."""

OTHERS = {
    "dora_scale": "it is a DoRA, whose magnitudes would be left out",
    "hada_": "it is a LoHa and not a LoRA",
    "lokr_": "it is a LoKr and not a LoRA",
    "oft_": "it is an OFT and not a LoRA",
    "lora_mid": "its convolutions are decomposed in three (Tucker)",
    "bundle_emb": "it has embeddings with it",
    ".diff": "it has whole differences of weights in it",
}
"""What else trainers write into such files, by what its tensors are called: each is told by its name."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA's file, and how strongly it is wanted."""

    name: str
    file: Path
    sha256: str
    weight: float


class Adapters:
    """The LoRAs of one pipeline."""

    def __init__(self, pipeline: Any, check: Callable[[Any, Mapping[str, Any]], None] | None) -> None:
        """`check` is what its family wants to see of a LoRA first (`Family.check_lora`)."""
        self._pipeline = pipeline
        self._check = check
        self._known: OrderedDict[tuple[Path, str], str] = OrderedDict()
        """What peft calls each file with these bytes, least recently used first."""
        self._added = 0
        self.active: tuple[Adapter, ...] = ()

    def add(self, adapter: Adapter) -> None:
        """Have this one at hand; where it is not yet, only the base works afterwards.

        Raises WeightsError, in one line, where it cannot be used as a whole; the base works then.
        """
        if (key := (adapter.file, adapter.sha256)) not in self._known:
            self._set_enabled(False)
            self.active = ()
            self._known[key] = self._load(adapter)
        self._known.move_to_end(key)

    def switch(self, wanted: Sequence[Adapter]) -> None:
        """Have exactly these work from now on, in this order; with none the pipeline is the base, bit for bit.

        Raises as `add` does.
        """
        self._set_enabled(False)
        self.active = ()
        for adapter in wanted:
            self.add(adapter)
        if wanted:
            names = [self._known[adapter.file, adapter.sha256] for adapter in wanted]
            self._set_enabled(True)
            self._pipeline.set_adapters(names, [adapter.weight for adapter in wanted])
        self.active = tuple(wanted)
        while len(self._known) > KEPT:
            self._pipeline.delete_adapters(self._known.popitem(last=False)[1])

    def _load(self, adapter: Adapter) -> str:
        """Let diffusers read it, and return what peft calls it."""
        # A name of our own: peft makes module names of them, which admit no dots.
        name = f"lora{self._added}"
        self._added += 1
        names: Iterable[str] = ()
        try:
            names = headers.tensors(adapter.file)
            if any("dora_scale" in tensor for tensor in names):
                raise ValueError(OTHERS["dora_scale"])
            # Most LoRAs leave the text encoders alone, and others may be there already: both are as it should be. What
            # goes wrong is told here, in one line.
            with silenced("diffusers", "transformers", "peft", below=logging.CRITICAL):
                source: dict[str, Any] = {"weight_name": adapter.file.name, "local_files_only": True}
                source["use_safetensors"] = True  # else diffusers tries next whether it is a pickle
                if self._check is not None:
                    self._check(self._pipeline, self._pipeline.lora_state_dict(adapter.file.parent, **source))
                self._pipeline.load_lora_weights(adapter.file.parent, adapter_name=name, **source)
            self._require_all(name, names)
        except Exception as error:  # each converter has its own: KeyError, AssertionError, whatever a file leads it to
            with suppress(Exception):
                self._pipeline.delete_adapters(name)
            if is_out_of_memory(error):
                raise
            raise WeightsError(f"the LoRA {adapter.name} cannot be used here: {_reason(error, names)}") from error
        finally:
            # diffusers takes its hooks off while it adds a LoRA, and leaves them off where that fails.
            self._pipeline.maybe_free_model_hooks()
        return name

    def _require_all(self, name: str, tensors: Iterable[str]) -> None:
        """Raise ValueError where less of a LoRA works than its file holds."""
        # Some converters make several of one, never fewer.
        held = sum(tensor.endswith(("down.weight", "lora_A.weight")) for tensor in tensors)
        working = sum(
            name in getattr(module, "lora_A", ())
            for part in self._pipeline.components.values()
            if hasattr(part, "modules")
            for module in part.modules()
        )
        if working < max(held, 1):
            unused = f"{held - working} of its {held} parts have no place in the model"
            raise ValueError(unused if held else "nothing of it has a place in the model")

    def _set_enabled(self, enabled: bool) -> None:
        """Let every part that has LoRAs use them, or none."""
        for part in self._pipeline.components.values():
            if getattr(part, "peft_config", None):
                (part.enable_adapters if enabled else part.disable_adapters)()


def _reason(error: Exception, tensors: Iterable[str]) -> str:
    """Why a LoRA was refused, in one line: by what its file holds, where that says it, or else as the library does."""
    for part, told in OTHERS.items():
        if any(part in tensor for tensor in tensors):
            return told
    return " ".join(str(error).split())[:300] or f"its weights do not fit the model ({type(error).__name__})"


def broken(adapters: Iterable[Adapter]) -> list[str]:
    """The names of those LoRAs whose files hold what is no number."""
    return [adapter.name for adapter in adapters if _is_broken(adapter.file)]


def _is_broken(file: Path) -> bool:
    with safe_open(file, framework="pt") as tensors:
        # One in 8 bits cannot be asked itself.
        return not all(is_finite(tensors.get_tensor(name).float()) for name in tensors.keys())  # noqa: SIM118
