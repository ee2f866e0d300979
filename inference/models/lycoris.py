"""What LyCORIS' and kohya's trainers write into files, as what is added to the layers of a loaded network: LoRA, LoCon,
LoHa, LoKr, DoRA, whole differences and IA3.

Nothing here reads files, knows which pipeline a layer belongs to, or changes one (`differences`).
(Yeh et al., Navigating Text-To-Image Customization, 2023; Liu et al., DoRA, 2024; the arithmetic is that of LyCORIS 4.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from inference.models import blocks

Tensors = Mapping[str, torch.Tensor]
"""Those of one layer, by the names that trainers give them behind the layer's own."""

LORA = {
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    "lora_magnitude_vector": "dora_scale",
    "lora_magnitude_vector.weight": "dora_scale",
}
"""peft's names of what kohya's trainer calls otherwise."""

NAMES = (
    *("lora_up.weight", "lora_down.weight", "lora_mid.weight", "alpha", "dora_scale", *LORA),
    *(f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
    *("diff", "diff_b", "w_norm", "b_norm", "weight", "on_input"),
)
_NAMED = re.compile(rf"(.+?)\.({'|'.join(re.escape(name) for name in NAMES)})")

PLAIN = frozenset({"lora_up.weight", "lora_down.weight", "lora_A.weight", "lora_B.weight", "alpha"})
"""What an ordinary LoRA holds."""


@dataclass(frozen=True)
class Part:
    """What a file adds to one layer."""

    tensors: Tensors
    layer: torch.nn.Module
    rows: tuple[int, int] | None = None
    """Where the layer is one of several that the file takes for one: where its outputs begin among all of theirs, and
    how many those are."""

    def check(self) -> None:
        """Raise ValueError where it does not fit its layer, before anything large is made."""
        if unknown := self.tensors.keys() - set.union(*(set(names) for names, _ in KINDS.values()), {"alpha"}):
            raise ValueError(f"it has a {min(unknown)} in it, which nothing here reads")
        kinds = [kind for kind, (names, _) in KINDS.items() if names & self.tensors.keys()]
        if len([kind for kind in kinds if kind != "dora"]) != 1:
            raise ValueError(f"one of its layers holds {' and '.join(kinds) or 'nothing'}")
        if not isinstance(self.layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.LayerNorm, torch.nn.GroupNorm)):
            raise ValueError(f"it changes a {type(self.layer).__name__}, which cannot be")
        if self._is_norm != ("norm" in kinds):
            raise ValueError("it takes a normalisation for another layer, or the other way round")
        if self.rows is not None and {"dora", "ia3"} & set(kinds):
            raise ValueError("it scales layers that are several here")
        if "dora" in kinds and {"difference", "ia3", "norm"} & set(kinds):
            raise ValueError("it has magnitudes of what has none")
        # Without numbers: whatever sizes a file promises, nothing of them is made.
        delta, bias = self._rebuilt({name: _hollow(name, tensor) for name, tensor in self.tensors.items()})
        wanted = (self._shape[0] if self.rows is None else self.rows[1], *self._shape[1:])
        if delta.shape[:1] != wanted[:1] or delta.numel() != torch.Size(wanted).numel():
            made, layer = ("x".join(str(size) for size in shape) for shape in (delta.shape, wanted))
            raise ValueError(f"it was made for another width: {made} where the model has {layer}")
        if bias is not None and bias.numel() != wanted[0]:
            raise ValueError("one of its biases does not fit its layer")
        magnitude = self.tensors.get("dora_scale")
        if magnitude is not None and magnitude.numel() not in (wanted[0], wanted[1]):
            raise ValueError("its magnitudes do not fit their layer")

    def to(self, device: torch.device) -> Part:
        """The same with its tensors there."""
        return Part({name: tensor.to(device) for name, tensor in self.tensors.items()}, self.layer, self.rows)

    def added(self, states: torch.Tensor, weight: float) -> torch.Tensor:
        """What it adds to the output of its layer for these inputs, at this weight."""
        delta, shift = self.difference(weight, states.device)
        return self._operate(states, delta.to(states), None if shift is None else shift.to(states))

    def difference(self, weight: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What it adds to the weights of its layer, and to the bias, at this weight: in float32, on the device on which
        its tensors are. Some of it depends on the weights, which must be the base's."""
        delta, bias = self._rebuilt(self.tensors)
        delta = self._own(delta).reshape(self._shape)
        if "on_input" in self.tensors:
            delta = delta * self._dense(device)
        if (scale := self.tensors.get("dora_scale")) is not None:
            whole = self._dense(device)
            delta = _decomposed(whole + delta, scale.float(), weight) - whole
        else:
            delta = delta * weight
        return delta, None if bias is None else self._own(bias.flatten()) * weight

    @property
    def shifts(self) -> bool:
        """Whether it adds to its layer's bias."""
        return bool({"diff_b", "b_norm"} & self.tensors.keys())

    @property
    def _is_norm(self) -> bool:
        return isinstance(self.layer, (torch.nn.LayerNorm, torch.nn.GroupNorm))

    @property
    def _shape(self) -> tuple[int, ...]:
        """That of the layer's weights, also where those are kept in fewer bits and another shape."""
        layer: Any = self.layer
        match layer:
            case torch.nn.Linear():
                return layer.out_features, layer.in_features
            case torch.nn.Conv2d():
                return layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size
            case torch.nn.GroupNorm():
                return (layer.num_channels,)
            case _:
                return tuple(layer.normalized_shape)

    def _rebuilt(self, tensors: Tensors) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The differences of weights and bias that these tensors stand for, in float32; IA3's is a factor yet."""
        kind = next(kind for kind, (names, _) in KINDS.items() if kind != "dora" and names & tensors.keys())
        held = {name: tensor if name == "alpha" else tensor.float() for name, tensor in tensors.items()}
        made = KINDS[kind][1](held, self)
        return made if isinstance(made, tuple) else (made, None)

    def _own(self, of_all: torch.Tensor) -> torch.Tensor:
        return of_all if self.rows is None else of_all[self.rows[0] : self.rows[0] + self._shape[0]]

    def _dense(self, device: torch.device) -> torch.Tensor:
        """The layer's own weights in full."""
        weight: Any = self.layer.weight
        if is_traceable_wrapper_subclass(weight):
            # torchao's, which says of itself that it is the tensor which it stands for.
            full: Any = weight
            weight = full.dequantize()
        weight = blocks.numbers(weight)
        if tuple(weight.shape) != self._shape:
            raise ValueError("it needs the model's weights in full, which are kept in fewer bits here")
        dense: torch.Tensor = weight.detach().to(device).float()
        return dense

    def _operate(self, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        layer: Any = self.layer
        match layer:
            case torch.nn.Linear():
                made: torch.Tensor = functional.linear(states, weight, bias)
            case torch.nn.Conv2d():
                made = layer._conv_forward(states, weight, bias)
            case torch.nn.GroupNorm():
                made = functional.group_norm(states, layer.num_groups, weight, bias, layer.eps)
            case _:
                made = functional.layer_norm(states, layer.normalized_shape, weight, bias, layer.eps)
        return made


def named(tensor: str) -> tuple[str, str] | None:
    """What trainers call a layer and a tensor of it, from the tensor's whole name; None where nothing here reads it."""
    match = _NAMED.fullmatch(tensor)
    return None if match is None else (match[1], LORA.get(match[2], match[2]))


def is_plain(tensor: str) -> bool:
    """Whether a tensor belongs to an ordinary LoRA, which diffusers reads."""
    return tensor.endswith(tuple(f".{name}" for name in (*PLAIN, "lora.up.weight", "lora.down.weight")))


def _lora(held: Tensors, part: Part) -> torch.Tensor:
    up, down, mid = (held.get(f"lora_{name}.weight") for name in ("up", "down", "mid"))
    if up is None or down is None:
        raise ValueError("one of its layers has no lora_up.weight or no lora_down.weight")
    rank = down.shape[0]
    if mid is None:
        delta = (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])
    else:
        delta = _tucker(mid, up.flatten(1).T, down.flatten(1))
    return delta * _scale(held, rank)


def _loha(held: Tensors, part: Part) -> torch.Tensor:
    halves = []
    for number in ("1", "2"):
        a, b, core = (held.get(f"hada_{name}") for name in (f"w{number}_a", f"w{number}_b", f"t{number}"))
        if a is None or b is None:
            raise ValueError("one of its LoHa layers is not whole")
        halves.append(a.flatten(1) @ b.flatten(1) if core is None else _tucker(core, a, b))
    return halves[0] * halves[1] * _scale(held, held["hada_w1_b"].shape[0])


def _lokr(held: Tensors, part: Part) -> torch.Tensor:
    rank = None
    factors = []
    for number in ("1", "2"):
        whole, a, b, core = (
            held.get(f"lokr_{name}") for name in (f"w{number}", f"w{number}_a", f"w{number}_b", f"t{number}")
        )
        if whole is None:
            if a is None or b is None:
                raise ValueError("one of its LoKr layers is not whole")
            whole = _tucker(core, a, b) if core is not None else (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:])
            rank = b.shape[0] if rank is None else rank
        factors.append(whole)
    small, large = factors
    small = small.reshape(*small.shape, *[1] * (large.dim() - small.dim()))
    # Where both are whole there is no rank, and `alpha` means nothing.
    return torch.kron(small, large.contiguous()) * (1.0 if rank is None else _scale(held, rank))


def _difference(held: Tensors, part: Part) -> tuple[torch.Tensor, torch.Tensor | None]:
    bias = held.get("diff_b")
    if (delta := held.get("diff")) is None:
        assert bias is not None
        delta = bias.new_zeros(bias.numel(), *part._shape[1:])
    return delta, bias


def _norm(held: Tensors, part: Part) -> tuple[torch.Tensor, torch.Tensor | None]:
    if (delta := held.get("w_norm")) is None:
        raise ValueError("one of its normalisations has no w_norm")
    return delta, held.get("b_norm")


def _ia3(held: Tensors, part: Part) -> torch.Tensor:
    factors = held.get("weight")
    if factors is None or held.get("on_input") is None:
        raise ValueError("one of its IA3 layers is not whole")
    if factors.is_meta:
        # What it is, and so the shape, is known by its numbers alone.
        return factors.new_zeros(part._shape) if factors.numel() in part._shape[:2] else factors
    across = 1 if part.tensors["on_input"].flatten()[0] else 0
    shape = [-1 if axis == across else 1 for axis in range(len(part._shape))]
    return factors.reshape(shape).expand(part._shape)


def _hollow(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor if name == "alpha" else tensor.to("meta")


def _tucker(core: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A convolution from its core (rank, rank, height, width) and what it is told of outputs and of inputs."""
    return torch.einsum("ij...,ip,jr->pr...", core, a, b)


def _scale(held: Tensors, rank: int) -> float:
    alpha = held.get("alpha")
    if alpha is None:
        return 1.0
    if alpha.numel() != 1:
        raise ValueError("an alpha of it is no single number")
    # Trainers write 0 where they mean none.
    return (float(alpha) or rank) / rank


def _decomposed(whole: torch.Tensor, magnitude: torch.Tensor, weight: float) -> torch.Tensor:
    """Weights brought to these magnitudes, of each output or of each input: as far as the weight says."""
    kept = 0 if magnitude.shape[:1] == whole.shape[:1] else 1
    shape = [-1 if axis == kept else 1 for axis in range(whole.dim())]
    norm = whole.transpose(0, kept).flatten(1).norm(dim=1) + torch.finfo(whole.dtype).eps
    decomposed: torch.Tensor = whole * (weight * (magnitude.flatten() / norm - 1) + 1).reshape(shape)
    return decomposed


Rebuild = Callable[[Tensors, Part], torch.Tensor | tuple[torch.Tensor, torch.Tensor | None]]


def _no_rebuild(held: Tensors, part: Part) -> torch.Tensor:
    raise AssertionError("a magnitude stands beside what it is a magnitude of")


KINDS: Mapping[str, tuple[frozenset[str], Rebuild]] = {
    "lora": (frozenset({"lora_up.weight", "lora_down.weight", "lora_mid.weight"}), _lora),
    "loha": (frozenset(name for name in NAMES if name.startswith("hada_")), _loha),
    "lokr": (frozenset(name for name in NAMES if name.startswith("lokr_")), _lokr),
    "difference": (frozenset({"diff", "diff_b"}), _difference),
    "norm": (frozenset({"w_norm", "b_norm"}), _norm),
    "ia3": (frozenset({"weight", "on_input"}), _ia3),
    "dora": (frozenset({"dora_scale"}), _no_rebuild),
}
"""What a layer's tensors are called in each kind, and what makes a difference of weights of them."""
