"""How a model can be kept and computed: what diffusers cannot do for a family is told at the start, not at the first
picture. Which way is taken where several are open is the matter of `models.policy`.
"""

from __future__ import annotations

from inference.catalog.entries import ModelEntry
from inference.catalog.fields import WHOLE_STEPS
from inference.errors import CatalogError
from inference.families import FAMILIES


def check(where: str, entry: ModelEntry) -> None:
    """Raise CatalogError, which begins with `where`, where a model of its family cannot be kept as this entry says."""
    denoiser = FAMILIES[entry.family].denoiser
    if entry.channels_last and not denoiser.channels_last:
        raise CatalogError(f"{where}: channels_last: the {entry.family} family has no convolutions that gain from it")
    if entry.attention == "sliced" and not denoiser.sliced_attention:
        raise CatalogError(f"{where}: attention: attention cannot be sliced in the {entry.family} family")
    if entry.attention == "flash" and (denoiser.masked_attention or not denoiser.attention_backends):
        raise CatalogError(
            f"{where}: attention: the {entry.family} family takes no other kernels; sdpa uses torch's own flash ones"
        )
    if entry.weights == "nf4" and entry.offload == "group":
        raise CatalogError(f"{where}: offload: layers of nf4 weights cannot come and go, whole parts can: 'model'")
    if entry.compile and not denoiser.compiles:
        raise CatalogError(f"{where}: compile: diffusers names no repeated blocks in the {entry.family} family")
    if entry.speed == "draft" and entry.steps < WHOLE_STEPS + 2:
        raise CatalogError(
            f"{where}: speed: a draft leaves out none of {entry.steps} steps: it takes {WHOLE_STEPS + 2}"
        )
