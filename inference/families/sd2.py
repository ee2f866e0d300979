"""Stable Diffusion 2: other weights of the same classes."""

from __future__ import annotations

from dataclasses import replace

from inference.families import sd1

FAMILY = replace(sd1.FAMILY, name="sd2")
