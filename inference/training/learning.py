"""A LoRA beside a loaded model's denoiser, and the steps in which it learns; the model's own weights keep their bits.

What of it is left to chance comes from `batches.generator`, and what it was comes back from a checkpoint: a run that
was stopped goes on to the same bytes, on the same processor with as many threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

from inference.device import Device
from inference.errors import TrainingError
from inference.families.training import Training
from inference.models import steadiness
from inference.models.handles import PictureModel
from inference.models.prompts import stack
from inference.training import batches, examples, objectives
from inference.training.batches import Batches
from inference.training.examples import Example, Examples
from inference.training.plans import Plan

ADAPTER = "learned"
"""What peft calls it."""
MAX_NORM = 1.0
"""Of the gradients together: one odd picture moves no more than that. diffusers' scripts have the same."""


class Learner:
    """One LoRA that is being trained."""

    def __init__(self, model: PictureModel, plan: Plan, known: Examples, device: Device) -> None:
        training = model.family.training
        assert training is not None, "the command asked"
        self._model, self._plan, self._known, self._device = model, plan, known, device
        self._training = training
        self._objective = objectives.of(training, model.scheduler_config, plan.snr_gamma)
        own = [place for place, example in enumerate(known.items) if not example.prior]
        prior = [place for place, example in enumerate(known.items) if example.prior]
        self._own = self._batches(own)
        self._prior = self._batches(prior) if prior else None
        for part in model.parts.values():
            part.requires_grad_(False)
        # What the matrices begin with is peft's to draw, from torch's own generator.
        with torch.random.fork_rng(devices=[device.where] if device.is_cuda else []):
            torch.manual_seed(batches.generator(plan.seed, "weights", 0).initial_seed())
            for name, network in self._networks().items():
                network.add_adapter(_config(name, network, model, plan, training), adapter_name=ADAPTER)
                cast_training_params(network)
        steadiness.steady(self._networks().values(), device)
        if plan.checkpointing:
            model.denoiser.enable_gradient_checkpointing()
        self._parameters = {
            f"{name}.{of}": parameter
            for name, network in self._networks().items()
            for of, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        self._optimiser = torch.optim.AdamW(self._parameters.values(), lr=plan.rate)
        self._pace = get_scheduler("constant_with_warmup", self._optimiser, num_warmup_steps=plan.warm)

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The LoRA as peft names it, behind the names of the pipeline's components; on the CPU."""
        return {
            f"{name}.{of}": tensor.detach().cpu().clone()
            for name, network in self._networks().items()
            for of, tensor in get_peft_model_state_dict(network, adapter_name=ADAPTER).items()
        }

    @property
    def optimiser(self) -> dict[str, Any]:
        """What AdamW and the rate have come to."""
        return {"adamw": self._optimiser.state_dict(), "rate": self._pace.state_dict()}

    def go_on(self, tensors: Mapping[str, torch.Tensor], optimiser: Mapping[str, Any]) -> None:
        """Be what it was when these were kept. Raises TrainingError where they are of another run."""
        if tensors.keys() != self.tensors.keys():
            raise TrainingError("the checkpoint is of another LoRA: delete it to begin anew")
        try:
            for name, network in self._networks().items():
                own = {of.removeprefix(f"{name}."): each for of, each in tensors.items() if of.startswith(f"{name}.")}
                set_peft_model_state_dict(network, own, adapter_name=ADAPTER)
            self._optimiser.load_state_dict(dict(optimiser["adamw"]))
            self._pace.load_state_dict(dict(optimiser["rate"]))
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError("the checkpoint is of another LoRA: delete it to begin anew") from error

    def work(self) -> None:
        """Let it work in the model, and it alone. Call it after others worked there."""
        for network in self._networks().values():
            network.enable_adapters()
            network.set_adapter(ADAPTER)
        for network in self._model.parts.values():
            network.requires_grad_(False)
        for parameter in self._parameters.values():
            parameter.requires_grad_(True)

    def step(self, number: int) -> float:
        """Take the step of this number, counted from 0; its loss, which is no number where training has come apart."""
        plan, loss = self._plan, 0.0
        for part in range(plan.accumulate):
            batch = number * plan.accumulate + part
            one = self._loss(batch) / plan.accumulate
            one.backward()  # type: ignore[no-untyped-call]
            loss += float(one.detach())
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), MAX_NORM)
        self._optimiser.step()
        self._pace.step()
        self._optimiser.zero_grad(set_to_none=True)
        return loss

    def _batches(self, places: list[int]) -> tuple[list[int], Batches]:
        shapes = [tuple(self._known.items[place].latents.shape) for place in places]
        return places, Batches(shapes, self._plan.batch, self._plan.seed)

    def _networks(self) -> dict[str, Any]:
        """What is trained, by the names of the pipeline's components."""
        encoders = self._training.encoders if self._plan.encoders else ()
        names = (self._model.family.denoiser.component, *encoders)
        return {name: part for name in names if (part := getattr(self._model.pipeline, name, None)) is not None}

    def _loss(self, batch: int) -> torch.Tensor:
        chance = batches.generator(self._plan.seed, "batch", batch)
        loss = self._distance(self._of(self._own, batch), chance)
        if self._prior is not None:
            loss = loss + self._plan.prior_weight * self._distance(self._of(self._prior, batch), chance)
        return loss

    def _of(self, of: tuple[list[int], Batches], batch: int) -> list[Example]:
        places, order = of
        return [self._known.items[places[place]] for place in order.of(batch)]

    def _distance(self, chosen: list[Example], chance: torch.Generator) -> torch.Tensor:
        """How far the denoiser is from the answers about these pictures."""
        where, model = self._device.where, self._model
        unsaid = (torch.rand(len(chosen), generator=chance) < self._plan.unsaid).tolist()
        asked = self._objective.ask(torch.cat([example.latents for example in chosen]), chance)
        with self._precision():
            words = [self._known.unsaid if none else self._words(one) for one, none in zip(chosen, unsaid, strict=True)]
            told = stack([{name: of.to(where) for name, of in each.items()} for each in words], model.family.words)
            noisy = asked.noisy.to(where, model.denoiser.dtype)
            predicted = self._training.predict(model.pipeline, noisy, asked.times.to(where), told)
        apart = (predicted.float() - asked.target.to(where)).square().mean(dim=(1, 2, 3))
        return (apart * asked.weights.to(where)).mean()

    def _words(self, example: Example) -> Mapping[str, Any]:
        return examples.read(self._model, example.caption) if self._plan.encoders else example.words

    def _precision(self) -> Any:
        """On a card products are made in bfloat16, whose range no gradient leaves; elsewhere all is float32."""
        return torch.autocast("cuda", torch.bfloat16) if self._device.is_cuda else nullcontext()


def _config(name: str, network: Any, model: PictureModel, plan: Plan, training: Training) -> LoraConfig:
    is_denoiser = name == model.family.denoiser.component
    ends = training.layers if is_denoiser else training.encoder_layers
    if is_denoiser and plan.textures:
        ends = (*ends, *training.textures)
    layers = [*_ending(network, ends)]
    if not layers:
        raise TrainingError(f"nothing of the {name} of {model.entry.title} can be trained")
    # The files' alpha is the rank: the plan's weight adds what was trained, neither more nor less, whoever reads it.
    alpha: Any = plan.rank * plan.weight
    return LoraConfig(r=plan.rank, lora_alpha=alpha, target_modules=layers, init_lora_weights=True)


def _ending(network: Any, ends: tuple[str, ...]) -> Iterator[str]:
    """The names of its layers that end so."""
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and f".{name}".endswith(
            tuple(f".{end}" for end in ends)
        ):
            yield name
