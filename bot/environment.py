"""Which variables of its environment the bot hands to the processes that it starts: those they need, and no others.

Secrets of the operator's shell are nobody's business who reads members' pictures or other people's weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

SYSTEM = r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|PYTHON\w+|VIRTUAL_ENV|XDG_CACHE_HOME"
"""What any program needs to find its files and to speak the operator's language."""

DEVICE = (
    r"LD_LIBRARY_PATH|(CUDA|NVIDIA|CUBLAS|CUDNN|NCCL|ROCR|ROCM|HIP|HSA|MIOPEN|GPU|SYCL|ZE|ONEAPI|MPS)_\w+"
    r"|(OMP|MKL|KMP|GOMP|OPENBLAS|NUMEXPR)_\w+|(PYTORCH|TORCH|TORCHINDUCTOR|TRITON)_\w+"
)
"""What drivers, arithmetic and torch are tuned by."""

MODELS = r"HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE"
"""Where fetched weights lie. Not the token that fetches them: serving needs no network."""

EASEL = r"EASEL_(MODELS|DEVICE|VRAM_BUDGET_GB|HOST_CACHE_GB|THREADS|WATERMARK|LOG_LEVEL)"

CLUSTER = r"RAY_\w+"
"""How Ray is set up here, its own token included, without which nobody may join."""

NEVER = r"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD|\w*(TOKEN|SECRET|PASSWORD)\w*|\w+_KEY"
"""Whatever else admits it: the first lets a file of weights run code."""

_ENGINE = re.compile("|".join((SYSTEM, DEVICE, MODELS, EASEL)))
_CLUSTER = re.compile(CLUSTER)
_NEVER = re.compile(NEVER, re.IGNORECASE)


def of_engine(environ: Mapping[str, str]) -> dict[str, str]:
    """What the inference process gets."""
    return {name: value for name, value in environ.items() if _ENGINE.fullmatch(name) and not _NEVER.fullmatch(name)}


def of_remote(environ: Mapping[str, str], keys: Sequence[str]) -> dict[str, str]:
    """What the process gets that sends requests to other servers: of all keys these alone."""
    return of_engine(environ) | {name: environ[name] for name in keys if name in environ}


def of_cluster(environ: Mapping[str, str]) -> dict[str, str]:
    """What a process gets that stands here for an engine in a Ray cluster."""
    return {name: value for name, value in environ.items() if _CLUSTER.fullmatch(name)} | of_engine(environ)
