"""What a batch of pictures is told of its words over the steps of a run: which changes at which step, and what several
prompts joined by AND come to.

A UNet that is told the negative side and the other in one batch makes of each more prompt what it makes of the first;
how far each leads away from the negative side is added up. (Liu et al., Compositional Visual Generation with Composable
Diffusion Models, 2022.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from inference.families.words import Words
from inference.models import prompts
from inference.models.prompts import Encoded


@dataclass(frozen=True)
class Stretch:
    """Steps of one picture that follow the same words."""

    begin: int
    """The first of them, among the steps that the picture takes."""
    parts: tuple[Encoded, ...]
    """What AND joins, the first with the negative side."""
    weights: tuple[float, ...]
    """Of each part."""

    @property
    def form(self) -> Hashable:
        """Equal for those that can share a batch."""
        return self.begin, tuple((name, tensor.shape[1]) for part in self.parts for name, tensor in part.items())


class Conditioning:
    """The words of the pictures of one batch, whose stretches have the same forms."""

    def __init__(self, pictures: Sequence[Sequence[Stretch]], words: Words) -> None:
        """`words` is how the pipeline reads them."""
        self._words = words
        self._stretches = [*zip(*pictures, strict=True)]
        self._now = 0

    def begin(self, step: int) -> dict[str, Any]:
        """What the pipeline is told of the words where a run begins at this of the pictures' steps."""
        begins = [together[0].begin for together in self._stretches]
        self._now = max(place for place, begin in enumerate(begins) if begin <= step)
        return self._told()

    def change(self, step: int) -> dict[str, Any]:
        """What the pipeline's callback gives back before this step; nothing where the words stay as they are."""
        following = self._now + 1
        if following == len(self._stretches) or self._stretches[following][0].begin != step:
            return {}
        self._now = following
        assert self._words.between is not None, "words were read so that they stay"
        return self._words.between(self._told())

    @contextmanager
    def composed(self, denoiser: Any) -> Iterator[None]:
        """Let the denoiser follow all that AND joins, within."""
        if all(len(picture.parts) == 1 for together in self._stretches for picture in together):
            yield
            return
        hook = denoiser.register_forward_hook(self._compose, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    def _told(self, part: int = 0) -> dict[str, Any]:
        return prompts.stack([picture.parts[part] for picture in self._stretches[self._now]], self._words)

    def _compose(self, denoiser: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
        """A hook of torch's: the denoiser's output with what the other parts add to the guided half of it."""
        together = self._stretches[self._now]
        if all(picture.weights == (1.0,) for picture in together):
            return output
        negative, first = output[0].chunk(2)
        states, *times = (_guided(one) for one in args)
        made = [first]
        for part in range(1, len(together[0].parts)):
            told = self._told(part)
            made.append(denoiser.forward(states, *times, **_with_words(kwargs, told, states))[0])
        weights = torch.tensor([picture.weights for picture in together]).to(first)
        away = sum(
            weight.view(-1, *[1] * (first.dim() - 1)) * (one - negative)
            for weight, one in zip(weights.unbind(1), made, strict=True)
        )
        return (torch.cat([negative, negative + away]), *output[1:])


def _with_words(kwargs: Mapping[str, Any], told: Mapping[str, torch.Tensor], states: torch.Tensor) -> dict[str, Any]:
    """What a UNet is told of the guided half of a batch, with these words."""
    halved = {name: _guided(value) for name, value in kwargs.items()}
    halved["encoder_hidden_states"] = told["prompt_embeds"].to(states)
    if halved.get("added_cond_kwargs"):
        halved["added_cond_kwargs"] = {
            **halved["added_cond_kwargs"],
            "text_embeds": told["pooled_prompt_embeds"].to(states),
        }
    return halved


def _guided(value: Any) -> Any:
    """The second half of what a denoiser is told of both sides; what is told once stays."""
    match value:
        case torch.Tensor() if value.dim() and len(value) > 1:
            return value.chunk(2)[1]
        case list() | tuple():
            return type(value)(_guided(one) for one in value)
        case dict():
            return {name: _guided(one) for name, one in value.items()}
        case _:
            return value
