"""Stable Diffusion 2: other weights of the same classes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from inference.families import sd1
from inference.families.unet import reads_words_of

FAMILY = replace(sd1.FAMILY, name="sd2", lora_marks=partial(reads_words_of, 1024))
