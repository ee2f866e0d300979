"""Textual inversions: learned vectors that stand in for words where a text encoder looks its tokens up.

A prompt has a sign of its own for each vector (`signs`), which nobody can mean by anything else. The text encoders and
their vocabularies stay as they are; tokenizers learn the signs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import AddedToken

from inference.catalog import headers
from inference.errors import WeightsError

FIRST_SIGN = 0xF0000
"""Of a plane of Unicode that is nobody's: no keyboard writes it."""
MAX_VECTORS = 256
"""Of all embeddings in one prompt: no text encoder reads more tokens at once."""
SIGNS = re.compile(f"[{chr(FIRST_SIGN)}-{chr(FIRST_SIGN + 0xFFFD)}]")

ENCODERS = ("clip_l", "clip_g")
"""What trainers call the vectors for each of a model's text encoders, in their order."""


@dataclass(frozen=True)
class Vectors:
    """A textual inversion: for each text encoder as many vectors, (vectors, features)."""

    of: tuple[torch.Tensor, ...] = field(repr=False, compare=False)
    """In the order of the model's text encoders."""
    sha256: str

    @property
    def count(self) -> int:
        """How many there are for each text encoder."""
        return len(self.of[0])


def of_tensors(named: Mapping[str, torch.Tensor]) -> Vectors:
    """The embedding that these tensors are, by the names that trainers give them. Raises ValueError where they are
    none."""
    if set(named) <= set(ENCODERS) and named:
        found = [named[name] for name in ENCODERS if name in named]
        if "clip_l" not in named:
            raise ValueError("it has clip_g alone, without the vectors of the first text encoder")
    elif len(named) == 1:
        found = [*named.values()]
    else:
        raise ValueError(f"it holds {len(named)} tensors, and an embedding is one, or clip_l and clip_g")
    tables = [tensor.detach().float().reshape(-1, tensor.shape[-1]) for tensor in found if tensor.dim() in (1, 2)]
    if len(tables) < len(found) or len({len(table) for table in tables}) != 1 or not 1 <= len(tables[0]) <= MAX_VECTORS:
        raise ValueError("its tensors are no vectors, or not as many for each text encoder")
    if not all(torch.isfinite(table).all() for table in tables):
        raise ValueError("it holds what is no number")
    digest = hashlib.sha256(b"".join(table.contiguous().numpy().tobytes() for table in tables)).hexdigest()
    return Vectors(tuple(tables), digest)


def read(file: Path, name: str) -> Vectors:
    """The embedding in a file of AUTOMATIC1111, of kohya's trainer or of diffusers.

    Raises WeightsError, in one line, where there is none.
    """
    try:
        if file.suffix == headers.SAFETENSORS:
            headers.check(file)
            return of_tensors(load_file(file))
        return of_tensors(_unpickled(torch.load(file, map_location="cpu", weights_only=True)))
    except WeightsError:
        raise
    except Exception as error:  # torch and the pickle machine raise half a dozen kinds for a wrong file
        reason = " ".join(str(error).split())[:200] if isinstance(error, ValueError) else "it holds more than tensors"
        raise WeightsError(f"the embedding {name} cannot be used: {file}: {reason}") from error


def _unpickled(content: Any) -> dict[str, torch.Tensor]:
    """The tensors of an embedding that torch has written, whatever its trainer put around them."""
    if isinstance(content, Mapping) and isinstance(content.get("string_to_param"), Mapping):
        content = content["string_to_param"]
    if not isinstance(content, Mapping):
        raise ValueError("it is no embedding")
    return {str(name): tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}


def signs(used: Sequence[Vectors]) -> list[str]:
    """What is written into a prompt for each of these, which are used together."""
    written, place = [], FIRST_SIGN
    for vectors in used:
        written.append("".join(chr(place + number) for number in range(vectors.count)))
        place += vectors.count
    return written


def require_fit(vectors: Vectors, encoders: Sequence[Any]) -> None:
    """Raise ValueError where these were made for other text encoders than these."""
    made, have = ([*widths] for widths in ((table.shape[1] for table in vectors.of), (_width(one) for one in encoders)))
    if made != have:
        made_for, model = (" and ".join(str(width) for width in widths) for widths in (made, have))
        raise ValueError(f"it was made for another model: its vectors are {made_for} wide and the model's {model}")


@contextmanager
def standing_in(used: Sequence[Vectors], encoders: Sequence[tuple[Any, Any, int]]) -> Iterator[None]:
    """Let these tokenizers and text encoders read the signs of these embeddings, within.

    Each encoder comes with its tokenizer, and with its place in `Vectors.of`.
    """
    if not used:
        yield
        return
    count = sum(vectors.count for vectors in used)
    written = [chr(FIRST_SIGN + number) for number in range(count)]
    with ExitStack() as undo:
        for tokenizer, encoder, place in encoders:
            tokenizer.add_tokens([AddedToken(sign, special=False, normalized=False) for sign in written])
            ids = torch.tensor(tokenizer.convert_tokens_to_ids(written))
            rows = torch.cat([vectors.of[place] for vectors in used])
            for hook in _hooks(encoder, ids, rows):
                undo.callback(hook.remove)
        yield


def _hooks(encoder: Any, ids: torch.Tensor, rows: torch.Tensor) -> Iterator[Any]:
    """Hooks by which an encoder finds these rows for these ids, which its own table does not have."""
    meant: list[torch.Tensor] = []

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        tokens = args[0] if args else kwargs["input_ids"]
        known = ids.to(tokens.device)
        meant[:] = [tokens.unsqueeze(-1) == known]
        # Not one of its own marks: by the highest, some find the end of the words.
        plain = torch.where(meant[0].any(-1), torch.zeros_like(tokens), tokens)
        return ((plain, *args[1:]), kwargs) if args else (args, {**kwargs, "input_ids": plain})

    def looked_up(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        where = meant[0].to(output.device)
        stands_in = rows.to(output)[where.int().argmax(-1)]
        return torch.where(where.any(-1, keepdim=True), stands_in, output)

    yield encoder.register_forward_pre_hook(before, with_kwargs=True)
    yield encoder.get_input_embeddings().register_forward_hook(looked_up)


def _width(encoder: Any) -> int:
    width: int = encoder.get_input_embeddings().embedding_dim
    return width
