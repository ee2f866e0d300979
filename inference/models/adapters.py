"""LoRAs beside a loaded pipeline: added once, then switched on, off and over with the base's bits kept.

Ordinary ones are read by diffusers, what LyCORIS and others train by `lycoris`. One works as a whole or is refused:
what diffusers would leave out of one, it leaves out with a warning. What diffusers has read works as peft's layers, or
where code was compiled for the pipeline as `differences` of its weights, which leave that code valid.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open

from inference.catalog import headers
from inference.device import is_out_of_memory
from inference.errors import WeightsError
from inference.families.record import Family
from inference.models import lycoris, vectors
from inference.models.differences import Differences, are_plain
from inference.models.layers import Layers
from inference.models.lycoris import Part
from inference.models.vectors import Vectors
from inference.networks.finite import is_finite
from inference.silence import silenced

KEPT = 8
"""How many stay beside a pipeline for whoever wants them next, the active ones among them."""

OTHERS = {
    "oft_": "it is an OFT and not a LoRA",
    "boft_": "it is a BOFT and not a LoRA",
    ".a1.weight": "it is a GLoRA and not a LoRA",
}
"""What else trainers write into such files, by what its tensors are called: each is told by its name."""

EMBEDDED = re.compile(r"bundle_emb\.([\w .<>-]{1,100}?)\.(string_to_param\.\*|emb_params|clip_l|clip_g)")
"""What kohya's trainer calls the embeddings that it puts into the same file."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA's file, and how strongly it is wanted."""

    name: str
    file: Path
    sha256: str
    weight: float
    words: float | None = None
    """How strongly in the text encoders, where that is otherwise."""

    def weight_in(self, component: str) -> float:
        """How strongly it is wanted in this part of a pipeline."""
        return self.weight if self.words is None or not component.startswith("text_encoder") else self.words


@dataclass(frozen=True)
class _Peft:
    """One that diffusers has read, and what peft calls it."""

    name: str


@dataclass(frozen=True)
class _Read:
    """One that Easel reads: what it adds to layers, and the embeddings that came with it."""

    parts: tuple[tuple[str, Part], ...]
    """Each with the part of the pipeline that its layer is of."""
    embeddings: Mapping[str, Vectors]


Kind = TypeVar("Kind", _Peft, _Read)


class Adapters:
    """The LoRAs of one pipeline."""

    def __init__(self, pipeline: Any, family: Family, compiled: bool = False) -> None:
        """`family` says what it wants to see of a LoRA first, and what its layers are called elsewhere. Where code was
        `compiled` for the denoiser it stays valid, unless that keeps its weights in fewer bits.
        """
        self._pipeline = pipeline
        self._family = family
        denoiser = getattr(pipeline, family.denoiser.component)
        self._merges = compiled and are_plain(denoiser)
        self.host_bytes = sum(each.nbytes for each in denoiser.parameters()) if self._merges else 0
        """What those which work may take of the machine's memory, at most."""
        self._differences = Differences(pipeline, self._merges)
        self._known: OrderedDict[tuple[Path, str], _Peft | _Read] = OrderedDict()
        """Each file with these bytes, least recently used first."""
        self._added = 0
        self.active: tuple[Adapter, ...] = ()

    @property
    def embeddings(self) -> dict[str, Vectors]:
        """The embeddings that came with those which work, by their names."""
        return {name: of for known in self._of(self.active, _Read) for name, of in known.embeddings.items()}

    @property
    def device_bytes(self) -> int:
        """What those take of the device's memory which are no part of the pipeline's networks."""
        return self._differences.device_bytes

    def add(self, adapter: Adapter) -> None:
        """Have this one at hand; where it is not yet, only the base works afterwards.

        Raises WeightsError, in one line, where it cannot be used as a whole; the base works then.
        """
        if (key := (adapter.file, adapter.sha256)) not in self._known:
            self._rest()
            self._known[key] = self._load(adapter)
        self._known.move_to_end(key)

    def switch(self, wanted: Sequence[Adapter]) -> None:
        """Have exactly these work from now on, in this order; with none the pipeline is the base, bit for bit.

        Raises as `add` does.
        """
        self._rest()
        for adapter in wanted:
            self.add(adapter)
        pefts = [one for one in wanted if isinstance(self._known[one.file, one.sha256], _Peft)]
        if pefts:
            names = [known.name for known in self._of(pefts, _Peft)]
            self._set_enabled(True)
            self._pipeline.set_adapters(names, [self._weights(*one) for one in zip(names, pefts, strict=True)])
        self._differences.work(
            [
                (part, weight)
                for adapter in wanted
                for known in self._of([adapter], _Read)
                for component, part in known.parts
                if (weight := adapter.weight_in(component))
            ]
        )
        self.active = tuple(wanted)
        while len(self._known) > KEPT:
            _, forgotten = self._known.popitem(last=False)
            if isinstance(forgotten, _Peft):
                self._pipeline.delete_adapters(forgotten.name)

    def _rest(self) -> None:
        """Let only the base work."""
        self._set_enabled(False)
        self._differences.work(())
        self.active = ()

    def _of(self, adapters: Iterable[Adapter], kind: type[Kind]) -> list[Kind]:
        known = (self._known[adapter.file, adapter.sha256] for adapter in adapters)
        return [one for one in known if isinstance(one, kind)]

    def _weights(self, name: str, adapter: Adapter) -> float | dict[str, float]:
        """What diffusers is told of an adapter that peft calls so: one number, or one for each part that it changes."""
        if adapter.words is None:
            return adapter.weight
        held = self._pipeline.get_list_adapters()
        return {component: adapter.weight_in(component) for component, names in held.items() if name in names}

    def _load(self, adapter: Adapter) -> _Peft | _Read:
        # A name of our own: peft makes module names of them, which admit no dots.
        name = f"lora{self._added}"
        self._added += 1
        names: Iterable[str] = ()
        try:
            names = headers.tensors(adapter.file)
            if not self._is_for_diffusers(names):
                return self._read(adapter)
            try:
                self._load_peft(adapter, name)
                self._require_all(name, names)
            except Exception as error:
                # Names that diffusers does not know may be known here.
                self._forget(name)
                if is_out_of_memory(error) or (read := self._read_if_whole(adapter)) is None:
                    raise
                return read
            return self._taken(name) if self._merges else _Peft(name)
        except Exception as error:  # each converter has its own: KeyError, AssertionError, whatever a file leads it to
            if is_out_of_memory(error):
                raise
            reason = self._reason(error, adapter.file, names)
            raise WeightsError(f"the LoRA {adapter.name} cannot be used here: {reason}") from error
        finally:
            # diffusers takes its hooks off while it adds a LoRA, and leaves them off where that fails.
            self._pipeline.maybe_free_model_hooks()

    def _forget(self, name: str) -> None:
        with suppress(Exception):  # as far as it came
            self._pipeline.delete_adapters(name)
        if self._merges:
            # peft leaves its layers, which code was not compiled for.
            self._pipeline.unload_lora_weights()

    def _taken(self, name: str) -> _Read:
        """What diffusers has read, taken from it; the layers are those that were there before."""
        parts = []
        try:
            for component, network in self._pipeline.components.items():
                layers: Iterable[Any] = network.modules() if isinstance(network, torch.nn.Module) else ()
                for layer in layers:
                    if name in getattr(layer, "lora_A", ()):
                        down, up = layer.lora_A[name].weight.detach(), layer.lora_B[name].weight.detach()
                        tensors = {"lora_down.weight": down, "lora_up.weight": up.float() * layer.scaling[name]}
                        part = Part({end: tensor.cpu() for end, tensor in tensors.items()}, layer.get_base_layer())
                        part.check()
                        parts.append((component, part))
        finally:
            self._forget(name)
        return _Read(tuple(parts), {})

    def _read_if_whole(self, adapter: Adapter) -> _Read | None:
        with suppress(Exception):  # the first error tells more
            return self._read(adapter)
        return None

    def _is_for_diffusers(self, names: Iterable[str]) -> bool:
        """Whether a file holds ordinary LoRAs alone, in a layout that diffusers reads."""
        beginnings = ("lycoris_", "diffusion_model.") if self._family.denoiser.component == "unet" else ("lycoris_",)
        return all(lycoris.is_plain(name) and not name.startswith(beginnings) for name in names)

    def _load_peft(self, adapter: Adapter, name: str) -> None:
        """Let diffusers read it."""
        # Most LoRAs leave the text encoders alone, and others may be there already: both are as it should be. What
        # goes wrong is told here, in one line.
        with silenced("diffusers", "transformers", "peft", below=logging.CRITICAL):
            source: dict[str, Any] = {"weight_name": adapter.file.name, "local_files_only": True}
            source["use_safetensors"] = True  # else diffusers tries next whether it is a pickle
            if self._family.check_lora is not None:
                self._family.check_lora(self._pipeline, self._pipeline.lora_state_dict(adapter.file.parent, **source))
            self._pipeline.load_lora_weights(adapter.file.parent, adapter_name=name, **source)

    def _read(self, adapter: Adapter) -> _Read:
        """Read it as LyCORIS does. Raises ValueError where there is anything that would be left out."""
        of_layers: dict[str, dict[str, torch.Tensor]] = {}
        embeddings: dict[str, dict[str, torch.Tensor]] = {}
        with safe_open(adapter.file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                if embedded := EMBEDDED.fullmatch(name):
                    embeddings.setdefault(embedded[1], {})[embedded[2]] = opened.get_tensor(name)
                elif found := lycoris.named(name):
                    of_layers.setdefault(found[0], {})[found[1]] = opened.get_tensor(name)
                else:
                    raise ValueError(f"it has a {name[:100]} in it, which nothing here reads")
        layers = Layers(self._pipeline, self._family.denoiser)
        parts, lost = [], []
        for name, tensors in of_layers.items():
            places = layers.named(name)
            lost += [] if places else [name]
            for place in places:
                part = Part(tensors, place.layer, place.rows)
                part.check()
                parts.append((place.component, part))
        if lost:
            raise ValueError(f"{len(lost)} of its {len(of_layers)} parts have no place in the model")
        if not parts:
            raise ValueError("nothing of it has a place in the model")
        return _Read(tuple(parts), {name: self._embedding(of) for name, of in embeddings.items()})

    def _embedding(self, tensors: Mapping[str, torch.Tensor]) -> Vectors:
        weighing = self._family.words.weighing
        if weighing is None:
            raise ValueError("it has embeddings with it, which the model does not read")
        embedding = vectors.of_tensors(tensors)
        vectors.require_fit(embedding, [getattr(self._pipeline, encoder) for _, encoder in weighing.encoders])
        return embedding

    def _reason(self, error: Exception, file: Path, names: Iterable[str]) -> str:
        """Why a LoRA was refused, in one line: by what it holds, where that says it, or else as the library does."""
        for part, told in OTHERS.items():
            if any(part in name for name in names):
                return told
        with suppress(Exception):  # then the first error is all that is known
            layers = Layers(self._pipeline, self._family.denoiser)
            for name, shape in headers.tensors(file).items():
                layer, end = lycoris.named(name) or ("", "")
                for place in layers.named(layer) if end == "lora_down.weight" else ():
                    width = getattr(place.layer, "in_features", getattr(place.layer, "in_channels", shape[1]))
                    if shape[1] != width:
                        return f"it was made for another width: {shape[1]} where the model has {width}, at {layer}"
        return " ".join(str(error).split())[:300] or f"its weights do not fit the model ({type(error).__name__})"

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


def broken(adapters: Iterable[Adapter]) -> list[str]:
    """The names of those LoRAs whose files hold what is no number."""
    return [adapter.name for adapter in adapters if _is_broken(adapter.file)]


def _is_broken(file: Path) -> bool:
    with safe_open(file, framework="pt") as tensors:
        # One in 8 bits cannot be asked itself.
        return not all(is_finite(tensors.get_tensor(name).float()) for name in tensors.keys())  # noqa: SIM118
