"""The caption model, loaded and asked as one asks any Florence-2: task tokens in, the processor's parsed answer out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor, Florence2ForConditionalGeneration

from starter.judge import MODELS

CAPTION = MODELS / "caption"
LONGEST = 128


@dataclass(frozen=True, slots=True)
class Describer:
    """A Florence-2 model and its processor."""

    model: Any
    processor: Any

    @torch.no_grad()
    def ask(self, task: str, pictures: list[Image.Image], words: list[str] | None = None, beams: int = 1) -> list[Any]:
        """The answer to one task for each picture: a text, or boxes, polygons and labels in the picture's pixels.

        `words` are what is asked with the task, one for each picture, for tasks that want some.
        """
        sizes = [picture.size for picture in pictures]
        return self.parse(task, self.texts(task, pictures, words, beams), sizes)

    @torch.no_grad()
    def texts(
        self, task: str, pictures: list[Image.Image], words: list[str] | None = None, beams: int = 1
    ) -> list[str]:
        """What the model says before it is parsed."""
        asked = [task + more for more in words or [""] * len(pictures)]
        batch = self.processor(
            text=asked, images=[picture.convert("RGB") for picture in pictures], padding=True, return_tensors="pt"
        ).to(self.model.device, self.model.dtype)
        ids = self.model.generate(**batch, max_new_tokens=LONGEST, num_beams=beams, do_sample=False)
        said: list[str] = self.processor.batch_decode(ids, skip_special_tokens=False)
        return [text.replace("<pad>", "") for text in said]

    def parse(self, task: str, said: list[str], sizes: list[tuple[int, int]]) -> list[Any]:
        """What the processor reads from the model's texts, for pictures of these widths and heights."""
        return [
            self.processor.post_process_generation(text=text, task=task, image_size=size)[task]
            for text, size in zip(said, sizes, strict=True)
        ]


def load_describer(folder: Path = CAPTION, device: torch.device | None = None) -> Describer:
    """The trained caption model in float32, ready to be asked."""
    model: Any = Florence2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    return Describer(model.to(device or torch.device("cpu")).eval(), processor)
